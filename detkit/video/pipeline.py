"""The video pipeline: read, predict, track, draw and write frames, all in parallel.

Reading, inference and writing run in their own threads, tracking and drawing in the caller's.
Queues of a few frames connect them. An error in any stage ends the pipeline with that error; the
frames written before it are kept as a playable video.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from detkit.errors import VideoError
from detkit.inference.predict_files import DrawFn, PredictFn
from detkit.video.frame_queue import FrameQueue, QueueCancelled
from detkit.video.inference_stage import InferenceStage, error_message
from detkit.video.io.atomic_output import AtomicOutput
from detkit.video.io.containers import MAX_FRAME_PIXELS
from detkit.video.io.encoders import AUTO
from detkit.video.io.frame import Frame
from detkit.video.io.source import Source, open_source
from detkit.video.io.writer import PRESETS, VideoWriter, check_suffix
from detkit.video.run_report import DRAW, ENCODE, TRACK, StageTimings, VideoReport, peak_memory

Prediction = TypeVar("Prediction")
TrackFn = Callable[[Prediction, Frame], Any]
OnFrame = Callable[[int, float, Prediction], None]
# Maximum time that a real-time reader sleeps before it checks whether the run has ended.
POLL_SECONDS = 0.05


class VideoInterrupted(KeyboardInterrupt):
    """The user stopped the run; the message names the file that is kept."""


def run_video(
    predict: PredictFn[Prediction],
    source: str | Path | Source,
    out: str | Path | None,
    draw: DrawFn[Any] | None,
    *,
    track: TrackFn[Prediction] | None = None,
    batch_size: int = 1,
    workers: int = 1,
    queue_size: int = 4,
    live: bool | None = None,
    fps: Fraction | None = None,
    encoder: str = AUTO,
    preset: str = PRESETS[0],
    audio: bool = True,
    force: bool = False,
    max_pixels: int = MAX_FRAME_PIXELS,
    on_start: Callable[[Source], None] = lambda source: None,
    on_frame: OnFrame[Any] = lambda index, timestamp_s, prediction: None,
) -> VideoReport:
    """Run a model on the frames of ``source`` and write the annotated frames, in order.

    Args:
        predict: returns a prediction, such as a `Detections`, for each of a list of (H, W, 3)
            uint8 RGB images.
        source: a path or URL for `open_source`, or an opened source, which is closed at the end.
        out: the video file, which gets this name only when it is complete; None for no file.
        draw: draws a prediction on an image, in place or not, and returns an image of the same
            shape. None leaves the frames unchanged.
        track: called for each frame in order with its prediction; its result replaces the
            prediction in ``draw`` and ``on_frame``.
        batch_size: frames per call of ``predict``; the last batch may be smaller.
        workers: number of parallel calls of ``predict``, each in its own thread.
        queue_size: maximum number of frames that wait before and after the model.
        live: drop old frames when newer ones wait for the model; a file is then read in real
            time. False processes every frame; None takes the source's ``live``.
        fps: frame rate of a folder of images.
        encoder: a name of ``detkit.video.io.encoders``; 'auto' uses the first available.
        preset: x264's preset.
        audio: whether to copy the audio of a file.
        force: whether ``out`` may be overwritten.
        max_pixels: maximum number of pixels of a frame; unused for an opened source.
        on_start: called once with the opened source.
        on_frame: called for each frame in order with its index, its timestamp in seconds and its
            prediction, after drawing.

    Raises:
        VideoError: a stage failed; the message has the reason, and the file that keeps the frames
            written before it. The ``__cause__`` is the original error.
        VideoInterrupted: Ctrl-C. It is the regular end of a live source, for which nothing is
            raised once a frame is done.
        ValueError: a batch size, queue size or number of workers below 1.
    """
    for name, value in (("batch_size", batch_size), ("workers", workers)):
        if value < 1:
            raise ValueError(f"{name}: got {value}, expected at least 1")
    begin = time.perf_counter()
    path = None if out is None else Path(out)
    if path is not None:
        check_suffix(path)
        if isinstance(source, (str, Path)) and path.exists() and Path(source).exists() \
                and path.samefile(source):
            raise VideoError(f"{path}: is the input video", hint="choose another --out")
    opened_source = (
        open_source(source, fps, max_pixels) if isinstance(source, (str, Path)) else source
    )
    live = opened_source.live if live is None else live
    times = StageTimings()
    try:
        frames: FrameQueue[Frame] = FrameQueue(batch_size if live else queue_size, drop_oldest=live)
        output = None if path is None else OutputWriter(
            path, force, opened_source, times, 1 if live else queue_size,
            encoder=encoder, preset=preset, audio=audio, live=live,
        )
    except BaseException:
        opened_source.close()
        raise
    reader_thread = _StageThread("video-reader", lambda: _read_frames(opened_source, frames, live))
    inference_stage = InferenceStage(
        predict, frames, batch_size=batch_size, workers=workers, wait_for_full_batch=not live,
        max_waiting=1 if live else max(1, queue_size // batch_size),
    )
    failure: BaseException | None = None
    num_done = 0
    try:
        reader_thread.start()
        inference_stage.start()
        on_start(opened_source)
        for batch in inference_stage:
            for frame, prediction in zip(batch.frames, batch.predictions):
                times.begin(frame, batch.seconds, len(batch.frames))
                result = prediction if track is None else _track_frame(
                    track, prediction, frame, times)
                if output is not None:
                    frame = _draw_frame(draw, frame, result, times)
                on_frame(frame.index, float(frame.pts * opened_source.info.time_base), result)
                num_done += 1
                if output is not None:
                    output.put(frame)
                else:
                    times.end(frame.index)
    except QueueCancelled:
        pass  # the writer failed; its error is raised below
    except BaseException as error:
        failure = error
    finally:
        inference_stage.end()
        reader_thread.end()
        opened_source.close()
    failure = failure or reader_thread.error
    dropped, notes = frames.dropped, list(opened_source.notes)
    if isinstance(failure, KeyboardInterrupt) and opened_source.live and num_done:
        failure, dropped = None, opened_source.count - num_done
        notes.append(f"{opened_source.name}: stopped after {num_done} frames")
    if output is not None:
        output.finish(failure, num_done)
        notes += output.notes
    elif failure is not None:
        raise _final_error(failure, f"{num_done} frames were done")
    if num_done != opened_source.count - dropped:  # a bug in a stage
        raise VideoError("frames were lost", got=num_done, expected=opened_source.count - dropped)
    return VideoReport(path, opened_source.count, num_done, dropped,
                       time.perf_counter() - begin, times, peak_memory(), tuple(notes),
                       )


class _StageThread(threading.Thread):
    """A thread that stores its error instead of printing it."""

    def __init__(self, name: str, target: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._stage_function = target
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._stage_function()
        except QueueCancelled:
            pass
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        if self.ident is not None:
            self.join()


class OutputWriter:
    """The output file and the thread that writes it."""

    def __init__(
        self, path: Path, force: bool, source: Source, times: StageTimings, queue_size: int, *,
        encoder: str, preset: str, audio: bool, live: bool,
    ) -> None:
        self._times = times
        self._source = source.name
        self._queue: FrameQueue[Frame] = FrameQueue(queue_size)
        self._written: list[int] = []
        self._file = AtomicOutput(path, force)
        try:
            self._writer = VideoWriter(
                self._file.partial, source.info, preset, encoder=encoder,
                audio=source.audio if audio else None, audio_start=source.audio_start,
                live=live, on_written=self._written.append,
            )
        except BaseException:
            self._file.discard()
            raise
        self._thread = _StageThread("video-writer", self._write)
        self._thread.start()

    def put(self, frame: Frame) -> None:
        """Queue an annotated frame for writing; waits for space."""
        self._queue.put(frame)

    def finish(self, failure: BaseException | None, expected: int) -> None:
        """Write the remaining frames and rename the file to its final name.

        Raises:
            BaseException: ``failure`` or an error of the writer, with the name of the file that
                keeps the frames written so far.
        """
        self._queue.close()
        self._thread.end()
        failure = failure or self._thread.error
        try:
            self._writer.close(complete=failure is None)
        except VideoError as error:
            failure = failure or error
        self._finish_written()
        count = self._writer.count
        if failure is None and count != expected:  # a bug in a stage
            failure = VideoError(f"{self._file.path}: frames were lost", got=count,
                                 expected=expected)
        if failure is None:
            try:
                self._file.finish()
            except (VideoError, OSError) as error:
                failure = error
            else:
                return
        if count:
            raise _final_error(
                failure, f"the {count} frames that were done are kept in "
                f"{self._file.partial}")
        self._file.discard()
        raise _final_error(failure, "no frame could be kept")

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages about the output file, such as incomplete audio."""
        notes = [] if self._writer.encoder_note is None else [self._writer.encoder_note]
        if self._writer.audio_error is not None:
            notes.append(f"{self._source}: the audio could not be copied to its end: "
                         f"{self._writer.audio_error}")
        return tuple(notes)

    def _write(self) -> None:
        try:
            while (frame := self._queue.get()) is not None:
                begin = time.perf_counter()
                self._writer.add(frame)
                self._times.add_stage_time(ENCODE, frame.index, time.perf_counter() - begin)
                self._finish_written()
        finally:
            self._queue.cancel()

    def _finish_written(self) -> None:
        """End the timing of the frames written, after the encoding time of the last is added."""
        for index in self._written:
            self._times.end(index)
        self._written.clear()


def _read_frames(source: Source, frames: FrameQueue[Frame], live: bool) -> None:
    try:
        for frame in _realtime(source, frames) if live and not source.live else source:
            frames.put(frame)
    except QueueCancelled:
        raise
    except BaseException as error:
        frames.close(error)
    else:
        frames.close()


def _realtime(source: Source, frames: FrameQueue[Frame]) -> Iterator[Frame]:
    """The frames of a file, each at its timestamp, as a camera would deliver them."""
    begin: float | None = None
    for frame in source:
        now = time.perf_counter()
        begin = now if begin is None else begin
        due = begin + float(frame.pts * source.info.time_base)
        while now < due and not frames.cancelled:
            time.sleep(min(due - now, POLL_SECONDS))
            now = time.perf_counter()
        yield replace(frame, read_at=now - frame.decode_seconds)


def _track_frame(track: TrackFn[Prediction], prediction: Prediction, frame: Frame,
                 times: StageTimings) -> Any:
    begin = time.perf_counter()
    try:
        result = track(prediction, frame)
    except Exception as error:
        raise VideoError(
            f"frame {frame.index}: tracking failed: {error_message(error)}") from error
    times.add_stage_time(TRACK, frame.index, time.perf_counter() - begin)
    return result


def _draw_frame(draw: DrawFn[Any] | None, frame: Frame, result: Any, times: StageTimings) -> Frame:
    if draw is None:
        return frame
    begin = time.perf_counter()
    try:
        image = draw(frame.image, result)
    except Exception as error:
        raise VideoError(
            f"frame {frame.index}: drawing failed: {error_message(error)}") from error
    times.add_stage_time(DRAW, frame.index, time.perf_counter() - begin)
    return replace(frame, image=image)


def _final_error(failure: BaseException, kept: str) -> BaseException:
    """The error to raise, with the frames that are kept in its message."""
    final_error: BaseException
    if isinstance(failure, KeyboardInterrupt):
        final_error = VideoInterrupted(kept)
    elif isinstance(failure, Exception):
        final_error = VideoError(error_message(failure), hint=kept)
    else:
        return failure
    final_error.__cause__ = failure
    return final_error
