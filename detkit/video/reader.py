"""Frames out of a video file, in order, upright, with the file's own times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from detkit.errors import MissingExtraError, VideoError
from detkit.video.decoding import Decoding, Upright, cause_of, choose_stream, info_of
from detkit.video.frame import Frame

CUT_OFF_SLACK_SECONDS = 0.5


class VideoReader:
    """An opened video file; iterate over it once for its `Frame`.

    Times start at 0 with the first picture. A frame without a time, or with one that does not
    rise, is put one regular step, or one tick, after the frame before. Pictures are turned
    upright as the file's rotation tag says, and all have the size of the first.

    Args:
        path: a file; the first video stream in it that is not a cover picture is read.

    Attributes:
        name: the path as it was given.
        info: what the file says of the stream.
        live: False; a file waits until it is read.
        sound: the file, where there is sound beside the pictures; else None.
        sound_start: the first picture's time on the file's own clock, in seconds.
        count: the frames that were given out so far.
        notes: sentences on frames that the file lacks, once all was read; empty before.

    Raises:
        VideoError: no such file, or not a video that can be read.
        MissingExtraError: PyAV is not installed.
    """

    live = False

    def __init__(self, path: str | Path) -> None:
        try:
            import av
        except ImportError as error:
            raise MissingExtraError("av", "video") from error
        self._path = Path(path)
        self.name = str(path)
        self.count = 0
        self.notes: tuple[str, ...] = ()
        if not self._path.exists():
            raise VideoError(f"{path}: no such file")
        if not self._path.is_file():
            raise VideoError(f"{path}: not a file", expected="a video file")
        try:
            self._container: Any = av.open(str(self._path))
        except (av.error.FFmpegError, UnicodeError) as error:
            raise VideoError(
                f"{path}: cannot be opened as a video", got=cause_of(error),
                expected="a video file, whole",
            ) from error
        try:
            self._stream = choose_stream(self._container, self.name)
            self._stream.thread_type = "AUTO"
            decoding = Decoding(self._container, self._stream, self.name)
            self._lost = decoding.lost
            self._rest = iter(decoding)
            self._first: Any = next(self._rest, None)
            if self._first is None:
                raise VideoError(
                    f"{path}: there is no frame in it that can be decoded",
                    expected="at least one",
                )
            self._upright = Upright(self._first)
            self.info = info_of(self._container, self._stream, self._upright.size_hw)
        except BaseException:
            self._container.close()
            raise
        self.sound = self._path if self.info.has_sound else None
        self.sound_start = (self._first.pts or 0) * self.info.time_base

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame.

        Raises:
            VideoError: the file ends early or cannot be decoded further; every frame that could
                be decoded came before.
        """
        step = max(1, round(1 / (self.info.rate * self.info.time_base)))
        start, last = self._first.pts or 0, -1
        begin = time.perf_counter()
        decoded: Any = self._first
        while decoded is not None:
            if decoded.pts is not None:
                pts = max(decoded.pts - start, last + 1)
            else:
                pts = last + step if self.count else 0
            self._lost.add_frame(decoded.pts, step)
            duration = int(getattr(decoded, "duration", 0) or 0)
            image = self._upright(decoded)
            spent = time.perf_counter() - begin
            last = pts
            self.count += 1
            yield Frame(self.count - 1, image, pts, duration, begin, spent)
            begin = time.perf_counter()
            decoded = next(self._rest, None)
        self.notes = tuple(f"{self.name}: {note}" for note in self._lost.notes(
            self.count, self.info.frame_count, self.info.time_base))
        self._check_whole(self.count, (last + (duration or step)) * self.info.time_base)

    def close(self) -> None:
        """Let the file go; may be called twice."""
        self._container.close()

    def _check_whole(self, count: int, end: Fraction) -> None:
        """A file that was cut off often just ends; its own words tell how long it should be."""
        if self.info.frame_count is not None and count >= self.info.frame_count:
            return
        declared = self._declared_seconds()
        if declared is not None and float(end) < declared - CUT_OFF_SLACK_SECONDS:
            raise VideoError(
                f"{self._path}: the file is cut off",
                got=f"{count} frames, {float(end):.2f} s",
                expected=f"{self.info.frame_count} frames, {declared:.2f} s"
                if self.info.frame_count is not None else f"{declared:.2f} s",
            )

    def _declared_seconds(self) -> float | None:
        stream = self._stream
        if stream.frames and stream.duration:
            return float(stream.duration * stream.time_base)
        # Matroska writes 'HH:MM:SS.fraction' into the stream's tags.
        parts = str(stream.metadata.get("DURATION", "")).split(":")
        try:
            hours, minutes, seconds = (float(part) for part in parts)
        except ValueError:
            return None
        # It counts from the container's zero, our frames from the first picture.
        start = (self._first.pts or 0) * float(stream.time_base or 0)
        return hours * 3600 + minutes * 60 + seconds - start
