"""A video through a model: reading, looking, tracking and drawing, writing, all at once.

Threads read, look and write; tracking and drawing go on in the caller's. Channels of a few
frames join them. Whatever fails in any of them ends the whole chain with that error; what was
done by then is closed and kept as a video that plays.
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
from detkit.inference.predict_files import Draw, Look
from detkit.video.frame_queue import Channel, ChannelCancelled
from detkit.video.inference_stage import LookStage, say
from detkit.video.io.atomic_output import OutFile
from detkit.video.io.containers import MAX_FRAME_PIXELS
from detkit.video.io.encoders import AUTO
from detkit.video.io.frame import Frame
from detkit.video.io.source import Source, open_source
from detkit.video.io.writer import PRESETS, VideoWriter, check_suffix
from detkit.video.run_report import DRAW, ENCODE, TRACK, RunTimes, VideoReport, peak_memory

Answer = TypeVar("Answer")
Track = Callable[[Answer, Frame], Any]
OnFrame = Callable[[int, float, Answer], None]
# How long a reader sleeps at most before it looks whether it is still wanted.
NAP_SECONDS = 0.05


class VideoInterrupted(KeyboardInterrupt):
    """The user stopped the run; the message says what was kept."""


def run_video(
    look: Look[Answer],
    source: str | Path | Source,
    out: str | Path | None,
    draw: Draw[Any] | None,
    *,
    track: Track[Answer] | None = None,
    batch_size: int = 1,
    workers: int = 1,
    queue_size: int = 4,
    live: bool | None = None,
    rate: Fraction | None = None,
    encoder: str = AUTO,
    preset: str = PRESETS[0],
    sound: bool = True,
    force: bool = False,
    max_pixels: int = MAX_FRAME_PIXELS,
    on_start: Callable[[Source], None] = lambda source: None,
    on_frame: OnFrame[Any] = lambda index, seconds, found: None,
) -> VideoReport:
    """Look at the frames of ``source`` and write the drawn frames to ``out``, in order.

    Args:
        look: gives one answer (a detector's `Detections`, say) for each of a list of (H, W, 3)
            uint8 RGB images.
        source: what `open_source` takes, or what it gave; it is closed at the end.
        out: the h264 file to write, which has its name only when it is whole; None for none.
        draw: draws an answer on an image that may be changed; the result has its shape. None
            leaves the frames as they are.
        track: called for each frame in order with its answer; what it gives takes the answer's
            place in ``draw`` and ``on_frame``.
        batch_size: so many frames go to ``look`` at once; the last batch may be smaller.
        workers: so many calls of ``look`` run at once, each in a thread of its own; answers
            come back in order.
        queue_size: at most so many frames wait before, and after, the model.
        live: leave out old frames where newer ones wait for the model; a file is then read at
            its own pace. None: as the source is. Without it each frame goes through.
        rate: frames per second of a folder of pictures.
        encoder: of ``detkit.video.io.encoders``; 'auto' takes the first that is there.
        preset: x264's.
        sound: whether a file's sound goes along.
        force: whether ``out`` may be replaced.
        max_pixels: frames of more pixels are refused; of a source that is not open yet.
        on_start: called once with the opened source.
        on_frame: called for each frame in order with its index, its time in seconds and its
            answer, after it was drawn.

    Raises:
        VideoError: anything failed; the message says what, and where the frames done before it
            are kept. Its ``__cause__`` is the error itself.
        VideoInterrupted: Ctrl-C; as above. For a source without an end it is the regular end,
            and nothing is raised when a frame was done.
        ValueError: a batch, queue or number of workers below 1.
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
            raise VideoError(f"{path}: is the video to read", do="name another --out")
    opened = open_source(source, rate, max_pixels) if isinstance(source, (str, Path)) else source
    live = opened.live if live is None else live
    times = RunTimes()
    try:
        frames: Channel[Frame] = Channel(batch_size if live else queue_size, newest=live)
        target = None if path is None else _Target(
            path, force, opened, times, 1 if live else queue_size,
            encoder=encoder, preset=preset, sound=sound, live=live,
        )
    except BaseException:
        opened.close()
        raise
    reading = _Stage("video-reader", lambda: _read(opened, frames, live))
    looking = LookStage(
        look, frames, batch_size=batch_size, workers=workers, fill=not live,
        waiting=1 if live else max(1, queue_size // batch_size),
    )
    failure: BaseException | None = None
    through = 0
    try:
        reading.start()
        looking.start()
        on_start(opened)
        for seen in looking:
            for frame, answer in zip(seen.frames, seen.answers):
                times.begin(frame, seen.seconds, len(seen.frames))
                shown = answer if track is None else _track(track, answer, frame, times)
                if target is not None:
                    frame = _draw(draw, frame, shown, times)
                on_frame(frame.index, float(frame.pts * opened.info.time_base), shown)
                through += 1
                if target is not None:
                    target.put(frame)
                else:
                    times.end(frame.index)
    except ChannelCancelled:
        pass  # the writer failed, and says why below
    except BaseException as error:
        failure = error
    finally:
        looking.end()
        reading.end()
        opened.close()
    failure = failure or reading.error
    dropped, notes = frames.dropped, list(opened.notes)
    if isinstance(failure, KeyboardInterrupt) and opened.live and through:
        failure, dropped = None, opened.count - through
        notes.append(f"{opened.name}: stopped after {through} frames")
    if target is not None:
        target.finish(failure, through)
        notes += target.notes
    elif failure is not None:
        raise _account(failure, f"{through} frames were done")
    if through != opened.count - dropped:  # would be a fault in the stages
        raise VideoError("frames were lost", got=through, expected=opened.count - dropped)
    return VideoReport(
        path, opened.count, through, dropped, time.perf_counter() - begin, times, peak_memory(),
        tuple(notes),
    )


class _Stage(threading.Thread):
    """A thread that keeps its error instead of printing it."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._work()
        except ChannelCancelled:
            pass
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        if self.ident is not None:
            self.join()


class _Target:
    """The file to be, its writer's thread, and what becomes of both at the end."""

    def __init__(
        self, path: Path, force: bool, source: Source, times: RunTimes, queue_size: int, *,
        encoder: str, preset: str, sound: bool, live: bool,
    ) -> None:
        self._times = times
        self._source = source.name
        self._pictures: Channel[Frame] = Channel(queue_size)
        self._written: list[int] = []
        self._file = OutFile(path, force)
        try:
            self._writer = VideoWriter(
                self._file.partial, source.info, preset, encoder=encoder,
                sound=source.sound if sound else None, sound_start=source.sound_start,
                live=live, on_written=self._written.append,
            )
        except BaseException:
            self._file.discard()
            raise
        self._thread = _Stage("video-writer", self._write)
        self._thread.start()

    def put(self, picture: Frame) -> None:
        """Have a drawn frame written; waits for room."""
        self._pictures.put(picture)

    def finish(self, failure: BaseException | None, expected: int) -> None:
        """Write to the end, give the file its name, or raise what failed with what is kept."""
        self._pictures.close()
        self._thread.end()
        failure = failure or self._thread.error
        try:
            self._writer.close(whole=failure is None)
        except VideoError as error:
            failure = failure or error
        self._end_written()
        count = self._writer.count
        if failure is None and count != expected:  # would be a fault in the stages
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
            raise _account(failure, f"the {count} frames that were done are kept in "
                           f"{self._file.partial}")
        self._file.discard()
        raise _account(failure, "no frame could be kept")

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of the file that was written."""
        notes = [] if self._writer.encoder_note is None else [self._writer.encoder_note]
        if self._writer.sound_fault is not None:
            notes.append(f"{self._source}: its sound could not be kept to the end: "
                         f"{self._writer.sound_fault}")
        return tuple(notes)

    def _write(self) -> None:
        try:
            while (picture := self._pictures.get()) is not None:
                begin = time.perf_counter()
                self._writer.add(picture)
                self._times.spend(ENCODE, picture.index, time.perf_counter() - begin)
                self._end_written()
        finally:
            self._pictures.cancel()

    def _end_written(self) -> None:
        """Frames lie in the file: only now, as the encoding of the last of them is its time."""
        for index in self._written:
            self._times.end(index)
        self._written.clear()


def _read(source: Source, frames: Channel[Frame], live: bool) -> None:
    try:
        for frame in _paced(source, frames) if live and not source.live else source:
            frames.put(frame)
    except ChannelCancelled:
        raise
    except BaseException as error:
        frames.close(error)
    else:
        frames.close()


def _paced(source: Source, frames: Channel[Frame]) -> Iterator[Frame]:
    """Frames of a file at the times at which they are shown, as a camera would give them."""
    begin: float | None = None
    for frame in source:
        now = time.perf_counter()
        begin = now if begin is None else begin
        due = begin + float(frame.pts * source.info.time_base)
        while now < due and not frames.cancelled:
            time.sleep(min(due - now, NAP_SECONDS))
            now = time.perf_counter()
        yield replace(frame, read_at=now - frame.decode_seconds)


def _track(track: Track[Answer], answer: Answer, frame: Frame, times: RunTimes) -> Any:
    begin = time.perf_counter()
    try:
        shown = track(answer, frame)
    except Exception as error:
        raise VideoError(f"frame {frame.index}: the tracking failed: {say(error)}") from error
    times.spend(TRACK, frame.index, time.perf_counter() - begin)
    return shown


def _draw(draw: Draw[Any] | None, frame: Frame, shown: Any, times: RunTimes) -> Frame:
    if draw is None:
        return frame
    begin = time.perf_counter()
    try:
        image = draw(frame.image, shown)
    except Exception as error:
        raise VideoError(f"frame {frame.index}: the drawing failed: {say(error)}") from error
    times.spend(DRAW, frame.index, time.perf_counter() - begin)
    return replace(frame, image=image)


def _account(failure: BaseException, kept: str) -> BaseException:
    """The error to raise: what failed, and what is kept."""
    account: BaseException
    if isinstance(failure, KeyboardInterrupt):
        account = VideoInterrupted(kept)
    elif isinstance(failure, Exception):
        account = VideoError(say(failure), do=kept)
    else:
        return failure
    account.__cause__ = failure
    return account
