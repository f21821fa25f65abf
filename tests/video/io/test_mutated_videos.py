"""Videos that were changed at random: frames, or one clear line, and nothing else."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numbered_video import numbered_image, write_video
from PIL import Image

from detkit.errors import VideoError
from detkit.structures.detections import Detections
from detkit.video.pipeline import run_video

SEED = 12
KINDS = {
    "aac.mp4": {"sound": ("aac", 44100)},
    "begin.mp4": {"options": {"movflags": "faststart"}},
    "fragments.mp4": {"options": {"movflags": "frag_keyframe+empty_moov"}},
    "opus.mkv": {"sound": ("libopus", 48000)},
    "mp3.avi": {"codec": "mpeg4", "sound": ("mp3", 44100)},
    "aac.ts": {"sound": ("aac", 44100)},
    "vp8.webm": {"codec": "libvpx"},
    "pcm.mov": {"codec": "mpeg4", "sound": ("pcm_s16le", 44100)},
    "h264.flv": {},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "vp8.ogv": {"codec": "libvpx"},
    "moving.gif": {},
}


def write_seed(path: Path) -> Path:
    if path.suffix != ".gif":
        return write_video(path, 12, **KINDS[path.name])
    images = [Image.fromarray(numbered_image(number)) for number in range(8)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=40)
    return path


def change_bytes(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.randrange(1, 20)):
        data[draw.randrange(len(data))] = draw.randrange(256)


def cut_off(data: bytearray, draw: random.Random) -> None:
    del data[draw.randrange(1, len(data)):]


def take_out(data: bytearray, draw: random.Random) -> None:
    begin = draw.randrange(len(data))
    del data[begin:begin + draw.randrange(1, 200)]


def set_number(data: bytearray, draw: random.Random) -> None:
    begin, size = draw.randrange(len(data) - 8), draw.choice([4, 8])
    data[begin:begin + size] = draw.choice([b"\xff", b"\x00", b"\x7f", b"\x80"]) * size


def spoil_head(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.randrange(1, 8)):
        data[draw.randrange(min(600, len(data)))] = draw.choice([0, 255, 127, 128])


def spoil_tail(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.randrange(1, 8)):
        data[-1 - draw.randrange(min(900, len(data)))] = draw.choice([0, 255, 127, 128])


def repeat(data: bytearray, draw: random.Random) -> None:
    begin = draw.randrange(len(data))
    part = data[begin:begin + draw.randrange(1, 100)]
    data[begin:begin] = part * draw.randrange(1, 20)


CHANGES: list[Callable[[bytearray, random.Random], None]] = [
    change_bytes, cut_off, take_out, set_number, spoil_head, spoil_tail, repeat]


def nothing(images: list[np.ndarray]) -> list[Detections]:
    return [Detections.empty(image.shape[:2]) for image in images]


@pytest.mark.parametrize("cases", [4, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", KINDS)
def test_a_changed_video_gives_frames_or_one_line(tmp_path: Path, name: str, cases: int) -> None:
    seed = write_seed(tmp_path / name).read_bytes()
    for case in range(cases):
        draw = random.Random(f"{SEED} {name} {case}")
        data = bytearray(seed)
        draw.choice(CHANGES)(data, draw)
        source, out = tmp_path / f"case{case}{Path(name).suffix}", tmp_path / "out.mp4"
        source.write_bytes(data)
        try:
            run_video(nothing, source, out, None, force=True)
        except VideoError as error:
            said = str(error)
            assert "\n" not in said and str(tmp_path) in said, (name, case, said)
            # Of an error that nobody expected the message would begin with its class.
            assert "Error: " not in said, (name, case, said)
        assert source.read_bytes() == data
        source.unlink()
