"""Timestamps: kept where they increase, replaced by one step where they jump."""

from fractions import Fraction
from pathlib import Path

import pytest
from numbered_video import read_back, write_video

from detkit.structures.detections import Detections
from detkit.video.io.frame_times import MAX_STEP_SECONDS, FrameTimes
from detkit.video.io.reader import VideoReader
from detkit.video.pipeline import run_video

YEAR = 365 * 24 * 3600 * 25  # in ticks of 1/25 s
LONGEST = MAX_STEP_SECONDS * 25


@pytest.mark.parametrize("reported, expected, num_jumps", [
    ([], [], 0),
    ([0, 1, 5, 6], [0, 1, 5, 6], 0),
    ([100, 101, 102], [0, 1, 2], 0),
    ([0, 10, 10, 5, 20], [0, 10, 11, 12, 20], 0),
    ([None, None, 9], [0, 1, 9], 0),
    ([0, LONGEST + 1, LONGEST + 2], [0, LONGEST + 1, LONGEST + 2], 0),  # 6 h, the longest step
    ([0, YEAR, YEAR + 1, YEAR + 5], [0, 1, 2, 6], 1),
    ([YEAR, 0, 1, 2], [0, 1, 2, 3], 1),
    ([0, 2**62, -2**62, 5], [0, 1, 2, 3], 3),
], ids=["empty", "uneven", "later", "not-rising", "none", "hours", "year", "back", "absurd"])
def test_timestamps_increase_and_long_jumps_are_removed(reported, expected, num_jumps: int) -> None:
    times = FrameTimes(Fraction(1, 25), 1, reported[0] if reported else None)
    assert [times.add(pts) for pts in reported] == expected
    assert times.num_jumps == num_jumps and len(times.notes()) == (num_jumps > 0)


def test_implausible_durations_are_unknown() -> None:
    times = FrameTimes(Fraction(1, 25), 1, 0)
    assert [times.duration(reported) for reported in (None, 0, -5, 2, YEAR)] == [0, 0, 0, 2, 0]


def no_detections(images: list) -> list[Detections]:
    return [Detections.empty(image.shape[:2]) for image in images]


@pytest.mark.parametrize("jump", [YEAR, 2**40], ids=["year", "1394-years"])
def test_year_long_gap_is_written_as_one_step_and_reported(
    tmp_path: Path, jump: int
) -> None:
    source = write_video(tmp_path / "a.mkv", 4, times=[0, 1, jump, jump + 1])
    report = run_video(no_detections, source, tmp_path / "out.mp4", None)
    numbers, seconds = read_back(tmp_path / "out.mp4")
    assert numbers == [0, 1, 2, 3] and seconds == [Fraction(n, 25) for n in range(4)]
    assert [note for note in report.notes if "implausible jumps" in note]


@pytest.mark.parametrize("scale, rate", [(1, 2**31 - 1), (2**31 - 1, 1)],
                         ids=["2e9-fps", "one-frame-in-68-years"])
def test_absurd_header_fps_is_ignored(
    tmp_path: Path, scale: int, rate: int
) -> None:
    """AVI's stream header: dwScale and dwRate are 20 and 24 bytes after 'strh' and its size."""
    source = write_video(tmp_path / "a.avi", 5, codec="mpeg4")
    data = bytearray(source.read_bytes())
    offset = data.index(b"strh") + 8 + 20
    data[offset:offset + 8] = scale.to_bytes(4, "little") + rate.to_bytes(4, "little")
    source.write_bytes(data)
    reader = VideoReader(source)
    assert 0 < reader.info.fps <= 1_000_000 and reader.info.time_base <= MAX_STEP_SECONDS
    reader.close()
    run_video(no_detections, source, tmp_path / "out.mp4", None)
    numbers, seconds = read_back(tmp_path / "out.mp4")
    assert numbers == list(range(5)) and seconds == sorted(set(seconds)) and seconds[-1] < 3600
