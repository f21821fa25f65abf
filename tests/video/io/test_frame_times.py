"""Times of frames: kept where they rise, one step where they leap."""

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


@pytest.mark.parametrize("said, given, leaps", [
    ([], [], 0),
    ([0, 1, 5, 6], [0, 1, 5, 6], 0),
    ([100, 101, 102], [0, 1, 2], 0),
    ([0, 10, 10, 5, 20], [0, 10, 11, 12, 20], 0),
    ([None, None, 9], [0, 1, 9], 0),
    ([0, LONGEST + 1, LONGEST + 2], [0, LONGEST + 1, LONGEST + 2], 0),  # 6 h beside the one step
    ([0, YEAR, YEAR + 1, YEAR + 5], [0, 1, 2, 6], 1),
    ([YEAR, 0, 1, 2], [0, 1, 2, 3], 1),
    ([0, 2**62, -2**62, 5], [0, 1, 2, 3], 3),
], ids=["empty", "uneven", "later", "not-rising", "none", "hours", "year", "back", "absurd"])
def test_times_rise_and_leap_no_further_than_six_hours(said, given, leaps: int) -> None:
    times = FrameTimes(Fraction(1, 25), 1, said[0] if said else None)
    assert [times.add(one) for one in said] == given
    assert times.leaps == leaps and len(times.notes()) == (leaps > 0)


def test_a_duration_beyond_the_longest_step_is_not_known() -> None:
    times = FrameTimes(Fraction(1, 25), 1, 0)
    assert [times.duration(said) for said in (None, 0, -5, 2, YEAR)] == [0, 0, 0, 2, 0]


def nothing(images: list) -> list[Detections]:
    return [Detections.empty(image.shape[:2]) for image in images]


@pytest.mark.parametrize("leap", [YEAR, 2**40], ids=["year", "1394-years"])
def test_frames_a_year_apart_are_written_one_step_apart_and_that_is_said(
    tmp_path: Path, leap: int
) -> None:
    source = write_video(tmp_path / "a.mkv", 4, times=[0, 1, leap, leap + 1])
    report = run_video(nothing, source, tmp_path / "out.mp4", None)
    numbers, seconds = read_back(tmp_path / "out.mp4")
    assert numbers == [0, 1, 2, 3] and seconds == [Fraction(n, 25) for n in range(4)]
    assert [note for note in report.notes if "leap too far" in note]


@pytest.mark.parametrize("scale, rate", [(1, 2**31 - 1), (2**31 - 1, 1)],
                         ids=["two-thousand-million-a-second", "one-in-68-years"])
def test_an_absurd_rate_in_the_header_is_not_believed(
    tmp_path: Path, scale: int, rate: int
) -> None:
    """AVI's stream header: dwScale and dwRate stand 20 and 24 bytes behind 'strh' and its size."""
    source = write_video(tmp_path / "a.avi", 5, codec="mpeg4")
    data = bytearray(source.read_bytes())
    place = data.index(b"strh") + 8 + 20
    data[place:place + 8] = scale.to_bytes(4, "little") + rate.to_bytes(4, "little")
    source.write_bytes(data)
    reader = VideoReader(source)
    assert 0 < reader.info.rate <= 1_000_000 and reader.info.time_base <= MAX_STEP_SECONDS
    reader.close()
    run_video(nothing, source, tmp_path / "out.mp4", None)
    numbers, seconds = read_back(tmp_path / "out.mp4")
    assert numbers == list(range(5)) and seconds == sorted(set(seconds)) and seconds[-1] < 3600
