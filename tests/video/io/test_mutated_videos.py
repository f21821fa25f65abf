"""Randomly mutated videos give frames or a one-line error."""

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
    "aac.mp4": {"audio": ("aac", 44100)},
    "begin.mp4": {"options": {"movflags": "faststart"}},
    "fragments.mp4": {"options": {"movflags": "frag_keyframe+empty_moov"}},
    "opus.mkv": {"audio": ("libopus", 48000)},
    "mp3.avi": {"codec": "mpeg4", "audio": ("mp3", 44100)},
    "aac.ts": {"audio": ("aac", 44100)},
    "vp8.webm": {"codec": "libvpx"},
    "pcm.mov": {"codec": "mpeg4", "audio": ("pcm_s16le", 44100)},
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


def change_bytes(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randrange(1, 20)):
        data[rng.randrange(len(data))] = rng.randrange(256)


def truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(1, len(data)):]


def remove_bytes(data: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(data))
    del data[begin:begin + rng.randrange(1, 200)]


def set_number(data: bytearray, rng: random.Random) -> None:
    begin, size = rng.randrange(len(data) - 8), rng.choice([4, 8])
    data[begin:begin + size] = rng.choice([b"\xff", b"\x00", b"\x7f", b"\x80"]) * size


def corrupt_head(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randrange(1, 8)):
        data[rng.randrange(min(600, len(data)))] = rng.choice([0, 255, 127, 128])


def corrupt_tail(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randrange(1, 8)):
        data[-1 - rng.randrange(min(900, len(data)))] = rng.choice([0, 255, 127, 128])


def repeat_bytes(data: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(data))
    part = data[begin:begin + rng.randrange(1, 100)]
    data[begin:begin] = part * rng.randrange(1, 20)


CHANGES: list[Callable[[bytearray, random.Random], None]] = [
    change_bytes, truncate, remove_bytes, set_number, corrupt_head, corrupt_tail, repeat_bytes]


def no_detections(images: list[np.ndarray]) -> list[Detections]:
    return [Detections.empty(image.shape[:2]) for image in images]


@pytest.mark.parametrize("cases", [4, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", KINDS)
def test_mutated_video_gives_frames_or_one_line_error(tmp_path: Path, name: str,
                                                      cases: int) -> None:
    seed = write_seed(tmp_path / name).read_bytes()
    for case in range(cases):
        rng = random.Random(f"{SEED} {name} {case}")
        data = bytearray(seed)
        rng.choice(CHANGES)(data, rng)
        source, out = tmp_path / f"case{case}{Path(name).suffix}", tmp_path / "out.mp4"
        source.write_bytes(data)
        try:
            run_video(no_detections, source, out, None, force=True)
        except VideoError as error:
            message = str(error)
            assert "\n" not in message and str(tmp_path) in message, (name, case, message)
            # The message of an unexpected error starts with its class.
            assert "Error: " not in message, (name, case, message)
        assert source.read_bytes() == data
        source.unlink()
