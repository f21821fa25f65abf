"""A video through a model: reader thread, model and drawing, writer thread.

The stages are joined by bounded channels. Whatever fails in any of them ends the whole chain
with that error; what was done by then is closed and kept as a video that plays.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from detkit.errors import DetkitError, VideoError
from detkit.inference.predict_files import Draw, Look
from detkit.video.channel import Channel, ChannelCancelled
from detkit.video.frame import Frame
from detkit.video.out_file import OutFile
from detkit.video.reader import VideoReader
from detkit.video.writer import VideoWriter, check_suffix

Answer = TypeVar("Answer")
OnFrame = Callable[[int, float, Answer], None]


@dataclass(frozen=True)
class VideoReport:
    """What a run did; ``seconds`` are of the whole chain, opening and closing included."""

    out: Path
    frames_in: int
    frames_out: int
    seconds: float

    @property
    def frames_per_second(self) -> float:
        """Frames that went through, by the seconds it took."""
        return self.frames_out / self.seconds if self.seconds > 0 else 0.0


class VideoInterrupted(KeyboardInterrupt):
    """The user stopped the run; the message says what was kept."""


def run_video(
    look: Look[Answer],
    source: str | Path,
    out: str | Path,
    draw: Draw[Answer],
    *,
    batch_size: int = 1,
    queue_size: int = 4,
    force: bool = False,
    on_start: Callable[[VideoReader], None] = lambda reader: None,
    on_frame: OnFrame[Answer] = lambda index, seconds, found: None,
) -> VideoReport:
    """Look at every frame of ``source`` and write the drawn frames to ``out``, in order.

    Args:
        look: gives one answer (a detector's `Detections`, say) for each of a list of (H, W, 3)
            uint8 RGB images; called with the frames in order.
        source: a video file.
        out: the h264 file to write; it has its name only when it is whole.
        draw: draws an answer on an image; the result has the image's shape.
        batch_size: so many frames go to ``look`` at once; the last batch may be smaller.
        queue_size: at most so many frames wait before, and after, the model.
        force: whether ``out`` may be replaced.
        on_start: called once with the opened reader.
        on_frame: called for each frame with its index, its time in seconds and its answer.

    Raises:
        VideoError: anything failed; the message says what, and where the frames done before it
            are kept. Its ``__cause__`` is the error itself.
        VideoInterrupted: Ctrl-C; as above.
        ValueError: a batch or queue size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: got {batch_size}, expected at least 1")
    begin = time.perf_counter()
    source, out = Path(source), Path(out)
    check_suffix(out)
    frames: Channel[Frame] = Channel(queue_size)
    pictures: Channel[Frame] = Channel(queue_size)
    reader = VideoReader(source)
    try:
        if out.exists() and out.samefile(source):
            raise VideoError(f"{out}: is the video to read", do="name another --out")
        target = OutFile(out, force)
        try:
            writer = VideoWriter(target.partial, reader.info)
        except BaseException:
            target.discard()
            raise
    except BaseException:
        reader.close()
        raise
    reading = _Stage("video-reader", lambda: _read(reader, frames))
    writing = _Stage("video-writer", lambda: _write(writer, pictures))
    failure: BaseException | None = None
    try:
        reading.start()
        writing.start()
        on_start(reader)
        for batch in _batches(frames, batch_size):
            for frame, found in zip(batch, _look(look, batch)):
                drawn = _draw(draw, frame, found)
                on_frame(frame.index, float(frame.pts * reader.info.time_base), found)
                pictures.put(drawn)
    except ChannelCancelled:
        pass  # the writer failed, and says why below
    except BaseException as error:
        failure = error
    finally:
        frames.cancel()
        pictures.close()
        for stage in (reading, writing):
            stage.end()
        reader.close()
    playable = _close(writer)
    failure = failure or writing.error or playable
    if failure is None and writer.count != reader.count:  # would be a fault in the stages
        failure = VideoError(f"{out}: frames were lost", got=writer.count, expected=reader.count)
    if failure is None:
        try:
            target.finish()
        except (VideoError, OSError) as error:
            failure = error
    if failure is not None:
        raise _account(failure, target, 0 if playable is not None else writer.count)
    return VideoReport(out, reader.count, writer.count, time.perf_counter() - begin)


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


def _read(reader: VideoReader, frames: Channel[Frame]) -> None:
    try:
        for frame in reader:
            frames.put(frame)
    except ChannelCancelled:
        raise
    except BaseException as error:
        frames.close(error)
    else:
        frames.close()


def _write(writer: VideoWriter, pictures: Channel[Frame]) -> None:
    try:
        while (picture := pictures.get()) is not None:
            writer.add(picture)
    finally:
        pictures.cancel()


def _close(writer: VideoWriter) -> Exception | None:
    try:
        writer.close()
    except VideoError as error:
        return error
    return None


def _batches(frames: Channel[Frame], size: int) -> Iterator[list[Frame]]:
    """Lists of ``size`` frames, the last one shorter; an error comes after the frames before it."""
    batch: list[Frame] = []
    error: Exception | None = None
    while error is None:
        try:
            frame = frames.get()
        except Exception as caught:
            frame, error = None, caught
        if frame is not None:
            batch.append(frame)
        if len(batch) == size or (frame is None and batch):
            yield batch
            batch = []
        if frame is None:
            break
    if error is not None:
        raise error


def _look(look: Look[Answer], batch: list[Frame]) -> Sequence[Answer]:
    where = f"frame {batch[0].index}"
    try:
        found = look([frame.image for frame in batch])
    except Exception as error:
        raise VideoError(f"{where}: the model failed: {_say(error)}") from error
    if len(found) != len(batch):
        raise VideoError(
            f"{where}: the model's answer", got=f"{len(found)} results",
            expected=f"one for each of {len(batch)} frames",
        )
    return found


def _draw(draw: Draw[Answer], frame: Frame, found: Answer) -> Frame:
    try:
        image = draw(frame.image, found)
    except Exception as error:
        raise VideoError(f"frame {frame.index}: the drawing failed: {_say(error)}") from error
    return replace(frame, image=image)


def _account(failure: BaseException, target: OutFile, count: int) -> BaseException:
    """The error to raise: what failed, and what is kept; nothing useful leaves no file."""
    if count:
        kept = f"the {count} frames that were done are kept in {target.partial}"
    else:
        kept = "no frame could be kept"
        target.discard()
    account: BaseException
    if isinstance(failure, KeyboardInterrupt):
        account = VideoInterrupted(kept)
    elif isinstance(failure, Exception):
        account = VideoError(_say(failure), do=kept)
    else:
        return failure
    account.__cause__ = failure
    return account


def _say(error: BaseException) -> str:
    if isinstance(error, DetkitError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
