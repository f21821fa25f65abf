"""Written files: sizes, timestamps, colors, and the format that browsers play."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered_video import numbered_image, read_back

from detkit.errors import VideoError
from detkit.video.io.frame import Frame, VideoInfo
from detkit.video.io.writer import PRESETS, VideoWriter


def info(size_hw=(64, 160), time_base=Fraction(1, 25), rate=Fraction(25)) -> VideoInfo:
    return VideoInfo(size_hw, time_base, rate, None, Fraction(1), False)


def write(path: Path, video_info: VideoInfo, images, times=None) -> VideoWriter:
    writer = VideoWriter(path, video_info)
    for index, image in enumerate(images):
        writer.add(Frame(index, image, times[index] if times else index, 1))
    writer.close()
    return writer


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_file_is_plain_h264_yuv420p_with_one_index(tmp_path: Path, suffix: str) -> None:
    import av

    path = tmp_path / f"a{suffix}"
    assert write(path, info(), [numbered_image(n) for n in range(30)]).count == 30
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.frames, stream.average_rate) == (30, 25)
    # The fragments are joined: a reader finds a single 'mdat'.
    data, offset, kinds = path.read_bytes(), 0, []
    while offset < len(data):
        length = int.from_bytes(data[offset:offset + 4], "big")
        if length == 1:
            length = int.from_bytes(data[offset + 8:offset + 16], "big")
        kinds.append(data[offset + 4:offset + 8])
        offset += length
    assert [kind for kind in kinds if kind not in (b"free", b"wide")] == [b"ftyp", b"mdat", b"moov"]


@pytest.mark.parametrize("base, times", [
    (Fraction(1, 25), [0, 1, 2, 3]),
    (Fraction(1001, 30000), [0, 1, 2, 3]),
    (Fraction(1, 90000), [0, 3003, 6006, 90000]),
    (Fraction(1, 1000), [0, 33, 67, 1000]),
], ids=["25", "ntsc", "variable-90k", "variable-ms"])
def test_timestamps_are_kept_exactly(tmp_path: Path, base: Fraction, times: list[int]) -> None:
    path = tmp_path / "a.mp4"
    write(path, info(time_base=base), [numbered_image(n) for n in range(4)], times)
    assert read_back(path) == ([0, 1, 2, 3], [time * base for time in times])


def test_nanosecond_timestamps_are_rounded_and_stay_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    nanosecond = Fraction(1, 1_000_000_000)
    times = [0, 33_333_333, 33_333_334, 100_000_000]
    write(path, info(time_base=nanosecond), [numbered_image(n) for n in range(4)], times)
    numbers, seconds = read_back(path)
    assert numbers == [0, 1, 2, 3]
    tick = 1 / 90_000
    assert [float(s) for s in seconds] == pytest.approx([0, 1 / 30, 1 / 30 + tick, 0.1], abs=tick)


@pytest.mark.parametrize("size_hw, written", [
    ((1, 1), (2, 2)), ((63, 161), (64, 162)), ((64, 161), (64, 162)), ((33, 32), (34, 32)),
], ids=str)
def test_odd_sizes_are_padded_with_last_row_or_column(tmp_path: Path, size_hw, written) -> None:
    import av

    image = np.full((*size_hw, 3), (200, 120, 40), np.uint8)
    path = tmp_path / "a.mp4"
    write(path, info(size_hw), [image] * 3)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 3
    assert frames[0].shape == (*written, 3)
    assert np.abs(frames[0].astype(int) - (200, 120, 40)).max() <= 6


@pytest.mark.parametrize("color", [
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0),
], ids=str)
def test_colors_match_opencv(tmp_path: Path, color) -> None:
    import cv2

    path = tmp_path / "a.mp4"
    write(path, info(), [np.full((64, 160, 3), color, np.uint8)] * 2)
    read = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
    assert np.abs(read.astype(int) - color).max() <= 4


@pytest.mark.parametrize("image", [
    np.zeros((64, 161, 3), np.uint8), np.zeros((64, 160, 3), np.float32),
    np.zeros((64, 160), np.uint8),
], ids=["size", "float", "gray"])
def test_frame_of_wrong_shape_is_rejected(tmp_path: Path, image) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", info())
    with pytest.raises(VideoError, match=r"frame 7: .*got shape .*expected shape \(64, 160, 3\)"):
        writer.add(Frame(7, image, 7, 1))
    writer.close()


def test_unknown_suffix_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"got '.avi', expected a name ending in .mp4"):
        VideoWriter(tmp_path / "a.avi", info())


def test_close_may_be_called_twice(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.mp4", info(), [numbered_image(0)])
    writer.close()
    assert read_back(tmp_path / "a.mp4")[0] == [0]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_every_preset_keeps_frames_and_times(tmp_path: Path, preset: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    written = []
    writer = VideoWriter(path, info(), preset, on_written=written.append)
    for number in range(40):
        writer.add(Frame(number, numbered_image(number), number, 1))
    writer.close()
    assert read_back(path) == (list(range(40)), [Fraction(n, 25) for n in range(40)])
    assert sorted(written) == list(range(40))


def test_live_frames_are_written_without_delay(tmp_path: Path) -> None:
    written = []
    writer = VideoWriter(tmp_path / "a.mp4", info(), "veryfast", live=True,
                         on_written=written.append)
    for number in range(10):
        writer.add(Frame(number, numbered_image(number), number, 1))
        assert written == list(range(number + 1))
    writer.close()


@pytest.mark.parametrize("size_hw", [(66, 62), (270, 480), (65, 63), (64, 64)], ids=str)
def test_any_frame_size_keeps_its_content(tmp_path: Path, size_hw) -> None:
    import av

    ramp = np.add.outer(np.arange(size_hw[0]), np.arange(size_hw[1])) % 200
    image = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
    write(tmp_path / "a.mp4", info(size_hw), [image] * 2)
    with av.open(str(tmp_path / "a.mp4")) as container:
        back = next(container.decode(video=0)).to_ndarray(format="rgb24")
    height, width = size_hw
    assert np.abs(back[:height, :width].astype(int) - image).mean() < 4


def test_close_without_frames_has_count_zero(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", info())
    writer.close()
    assert writer.count == 0


def test_frame_too_large_for_encoder_is_reported_with_its_size(tmp_path: Path) -> None:
    """The maximum side of x264 is 16,384."""
    with pytest.raises(VideoError, match="libx264 cannot write frames of 2x20000"):
        VideoWriter(tmp_path / "a.mp4", info((20_000, 2)))
