"""Parallel inference, tracking, runs without output, and frames dropped in live runs."""

import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from live_server import serving
from numbered_video import number_in, read_back, write_video

from detkit.errors import VideoError
from detkit.video.io.frame import Frame
from detkit.video.io.writer import VideoWriter
from detkit.video.pipeline import run_video


def numbers_of(images: list[np.ndarray]) -> list[int]:
    return [number_in(image) for image in images]


@pytest.mark.parametrize("workers, batch_size, queue_size", [
    (1, 1, 1), (2, 1, 4), (4, 1, 4), (3, 5, 4), (2, 4, 1),
], ids=str)
def test_concurrent_predictions_come_back_in_order(
    tmp_path: Path, workers: int, batch_size: int, queue_size: int
) -> None:
    source = write_video(tmp_path / "in.mp4", 203)
    rng, active, max_active = random.Random(0), 0, 0
    lock = threading.Lock()

    def predict(images: list[np.ndarray]) -> list[int]:
        nonlocal active, max_active
        with lock:
            active += 1
            max_active = max(max_active, active)
            delay = rng.random() * 0.004
        time.sleep(delay)
        with lock:
            active -= 1
        return numbers_of(images)

    results: list[tuple[int, int]] = []
    report = run_video(
        predict, source, tmp_path / "out.mp4", lambda image, number: image, workers=workers,
        batch_size=batch_size, queue_size=queue_size,
        on_frame=lambda index, timestamp_s, number: results.append((index, number)),
    )
    assert results == [(n, n) for n in range(203)]
    assert read_back(tmp_path / "out.mp4")[0] == list(range(203))
    assert 1 <= max_active <= workers and (workers == 1 or max_active > 1)
    assert (report.frames_in, report.frames_out, report.frames_dropped) == (203, 203, 0)


def test_error_in_concurrent_prediction_keeps_previous_frames(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 120)

    def predict(images: list[np.ndarray]) -> list[int]:
        number = number_in(images[0])
        time.sleep(0.02 if number == 59 else 0)  # 60 fails while 59 is still being predicted
        return [1 // (60 - number)]

    with pytest.raises(VideoError, match="frame 60: the model failed: ZeroDivisionError.*the 60 "):
        run_video(predict, source, tmp_path / "out.mp4", None, workers=4)
    assert read_back(tmp_path / "out.partial.mp4")[0] == list(range(60))


def test_tracker_gets_frames_in_order_and_its_result_is_drawn(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 60)
    total, drawn, results = 0, [], []

    def track(number: int, frame: Frame) -> tuple[int, int]:
        nonlocal total
        assert number == frame.index
        total += number
        return number, total

    def draw(image: np.ndarray, state: tuple[int, int]) -> np.ndarray:
        drawn.append(state)
        return image

    report = run_video(
        numbers_of, source, tmp_path / "out.mp4", draw, track=track, workers=3,
        on_frame=lambda index, timestamp_s, state: results.append(state),
    )
    assert drawn == results == [(n, n * (n + 1) // 2) for n in range(60)]
    assert {name for name, histogram in report.times.stages.items() if histogram.count == 60} == {
        "decode", "detect", "track", "draw", "encode"}


def test_tracker_error_keeps_previous_frames(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 40)
    with pytest.raises(VideoError, match="frame 30: tracking failed: ZeroDivision.*the 30 fr"):
        run_video(numbers_of, source, tmp_path / "out.mp4", None,
                  track=lambda number, frame: 1 // (30 - number))
    assert read_back(tmp_path / "out.partial.mp4")[0] == list(range(30))


def test_without_output_frames_are_predicted_but_not_drawn(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 50)
    results = []

    def draw(image: np.ndarray, number: int) -> np.ndarray:
        raise AssertionError("nothing to draw on")

    report = run_video(numbers_of, source, None, draw,
                       on_frame=lambda index, timestamp_s, number: results.append(number))
    assert results == list(range(50)) and report.out is None and report.frames_out == 50
    assert report.times.latency.count == 50 and report.times.stages["encode"].count == 0
    assert list(tmp_path.iterdir()) == [source]


def test_live_drops_old_frames_and_keeps_latency_low(tmp_path: Path) -> None:
    """Two seconds at 50 fps with 0.1 s of inference: about 20 frames, each the newest."""
    source = write_video(tmp_path / "in.mp4", 100, rate=50)
    results: list[tuple[int, int]] = []

    def predict(images: list[np.ndarray]) -> list[int]:
        time.sleep(0.1)
        return numbers_of(images)

    report = run_video(predict, source, tmp_path / "out.mp4", None, live=True,
                       on_frame=lambda index, timestamp_s, number: results.append((index, number)))
    numbers = [number for _, number in results]
    assert results == [(number, number) for number in sorted(set(numbers))]
    assert numbers[0] == 0 and numbers[-1] == 99  # the newest is always predicted
    assert report.frames_in == 100 and report.frames_out == len(numbers) < 60
    assert report.frames_dropped == 100 - len(numbers)
    written, times = read_back(tmp_path / "out.mp4")
    assert written == numbers and [round(50 * at) for at in times] == numbers
    # Without dropping, the latency of the last frame would be 8 seconds.
    assert report.times.latency.percentile(100) < 2000


def test_live_batches_take_available_frames(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 60, rate=50)
    sizes = []

    def predict(images: list[np.ndarray]) -> list[int]:
        sizes.append(len(images))
        time.sleep(0.05)
        return numbers_of(images)

    report = run_video(predict, source, tmp_path / "out.mp4", None, live=True, batch_size=4,
                       workers=2)
    assert set(sizes) <= {1, 2, 3, 4} and sum(sizes) == report.frames_out
    numbers = read_back(tmp_path / "out.mp4")[0]
    assert numbers == sorted(numbers) and numbers[-1] == 59


def test_stream_is_live_by_default(tmp_path: Path) -> None:
    def predict(images: list[np.ndarray]) -> list[int]:
        time.sleep(0.1)
        return numbers_of(images)

    with serving() as address:
        report = run_video(predict, f"{address}/mjpeg?frames=40&rate=40", tmp_path / "a.mp4", None)
        complete = run_video(predict, f"{address}/mjpeg?frames=12&rate=40", tmp_path / "b.mp4",
                             None, live=False)
    assert report.frames_dropped > 0
    assert report.frames_in == report.frames_out + report.frames_dropped
    assert complete.frames_dropped == 0 and complete.frames_out >= 11


def test_interrupt_is_regular_end_of_a_stream(tmp_path: Path) -> None:
    remaining = 10

    def predict(images: list[np.ndarray]) -> list[int]:
        nonlocal remaining
        remaining -= 1
        if remaining < 0:
            raise KeyboardInterrupt
        return numbers_of(images)

    with serving() as address:
        report = run_video(predict, f"{address}/mjpeg?frames=200", tmp_path / "out.mp4", None)
    assert report.frames_out == 10 and "stopped after 10 frames" in report.notes[0]
    assert len(read_back(tmp_path / "out.mp4")[0]) == 10
    assert report.frames_in == report.frames_out + report.frames_dropped


def test_table_has_frames_stages_and_memory(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 30)

    def predict(images: list[np.ndarray]) -> list[int]:
        time.sleep(0.02)
        return numbers_of(images)

    report = run_video(predict, source, tmp_path / "out.mp4", lambda image, prediction: image)
    rows = {line[:18].strip(): line[18:].split() for line in report.table().splitlines()}
    assert rows["frames in"] == rows["frames out"] == ["30"] and rows["frames dropped"] == ["0"]
    assert rows["ms per frame"] == ["mean", "median", "p95", "p99"]
    assert float(rows["detect"][0]) >= 20 and "track" not in rows
    for name in ("decode", "detect", "draw", "encode", "waiting", "end to end"):
        mean, median, p95, p99 = map(float, rows[name])
        assert 0 <= median <= p95 <= p99 and mean >= 0
    # The latency is at least the time of the model.
    assert float(rows["end to end"][0]) >= float(rows["detect"][0]) * 0.99
    assert float(rows["peak memory, MB"][0]) > 50


@pytest.mark.parametrize("name", ["batch_size", "workers"])
def test_batch_size_and_workers_below_one_are_rejected(tmp_path: Path, name: str) -> None:
    source = write_video(tmp_path / "in.mp4", 2)
    with pytest.raises(ValueError, match=f"{name}: got 0"):
        run_video(numbers_of, source, None, None, **{name: 0})


def test_encoding_of_live_frames_is_not_counted_as_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A live encoder writes each frame at once; here it takes 50 ms."""
    source = write_video(tmp_path / "in.mp4", 10, rate=10)
    encode = VideoWriter.add

    def slow(writer: VideoWriter, frame: Frame) -> None:
        time.sleep(0.05)
        encode(writer, frame)

    monkeypatch.setattr(VideoWriter, "add", slow)
    report = run_video(numbers_of, source, tmp_path / "out.mp4", None, live=True)
    times = report.times
    assert times.latency.count == times.waiting.count == report.frames_out
    spent = sum(part.total for part in times.stages.values()) + times.waiting.total
    assert spent == pytest.approx(times.latency.total, rel=0.02)
