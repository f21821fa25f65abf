"""Reads the frames of a video file, in order, upright, with their timestamps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detkit.errors import VideoError
from detkit.video.io.containers import MAX_FRAME_PIXELS, open_file
from detkit.video.io.declared_length import check_declared_length
from detkit.video.io.decoding import (
    FrameDecoder,
    UprightConverter,
    has_timestamps,
    read_video_info,
    select_video_stream,
)
from detkit.video.io.frame import Frame
from detkit.video.io.frame_times import FrameTimes


class VideoReader:
    """An opened video file; iterate over it once for its `Frame`.

    Timestamps start at 0 with the first frame. A frame without a timestamp is placed one regular
    step after the previous frame, one whose timestamp does not increase, one tick after it.
    Images are rotated upright by the file's rotation tag, and all have the size of the first.

    Args:
        path: a file; its first video stream that is not cover art is read.
        max_pixels: maximum number of pixels of a frame.

    Attributes:
        name: the path as given.
        info: the properties of the stream.
        live: False.
        audio: the file, if it has audio; else None.
        audio_start: timestamp of the first video frame in the file, in seconds.
        count: number of frames read so far.
        notes: messages about missing frames, after all frames are read; empty before.

    Raises:
        VideoError: no such file, or not a readable video.
        MissingExtraError: PyAV is not installed.
    """

    live = False

    def __init__(self, path: str | Path, max_pixels: int = MAX_FRAME_PIXELS) -> None:
        self._path = Path(path)
        self.name = str(path)
        self.count = 0
        self.notes: tuple[str, ...] = ()
        self._container: Any = open_file(self._path, self.name, max_pixels)
        try:
            self._stream = select_video_stream(self._container, self.name, max_pixels)
            self._stream.thread_type = "AUTO"
            decoder = FrameDecoder(self._container, self._stream, self.name, max_pixels)
            self._lost_frames = decoder.lost_frames
            self._frames = iter(decoder)
            self._first: Any = next(self._frames, None)
            if self._first is None:
                raise VideoError(
                    f"{path}: no frame can be decoded",
                    expected=f"at least one, of at most {max_pixels} pixels",
                )
            self._to_upright = UprightConverter(self._first)
            self.info = read_video_info(self._container, self._stream, self._to_upright.size_hw)
        except BaseException:
            self._container.close()
            raise
        self.audio = self._path if self.info.has_audio else None
        self.audio_start = (self._first.pts or 0) * self.info.time_base

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames.

        Raises:
            VideoError: the file is truncated or damaged; all frames that can be decoded are
                yielded first.
        """
        step = max(1, round(1 / (self.info.fps * self.info.time_base)))
        start = self._first.pts or 0
        timed = has_timestamps(self._stream)
        times = FrameTimes(self.info.time_base, step, start)
        begin = time.perf_counter()
        decoded: Any = self._first
        while decoded is not None:
            reported = decoded.pts if timed else None
            pts = times.add(reported)
            self._lost_frames.add_frame(None if reported is None else start + pts, step)
            duration = times.duration(getattr(decoded, "duration", None))
            image = self._to_upright(decoded)
            spent = time.perf_counter() - begin
            self.count += 1
            yield Frame(self.count - 1, image, pts, duration, begin, spent)
            begin = time.perf_counter()
            decoded = next(self._frames, None)
        self.notes = tuple(f"{self.name}: {note}" for note in (
            *self._lost_frames.notes(self.count, self.info.frame_count, self.info.time_base),
            *times.notes()))
        end = (pts + times.skipped_ticks + (duration or step)) * self.info.time_base
        check_declared_length(self.name, self._stream, start, self.count, end)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._container.close()
