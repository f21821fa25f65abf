"""Frames out of a video file, in order, upright, with the file's own times."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import MissingExtraError, VideoError
from detkit.video.frame import Frame, VideoInfo

# FFmpeg also "plays" still images and text files; those are no videos here.
NO_VIDEO_FORMATS = ("image2", "tty")
CUT_OFF_SLACK_SECONDS = 0.5


class VideoReader:
    """An opened video file; iterate over it once for its `Frame`.

    Times start at 0 with the first picture. A frame without a time, or with one that does not
    rise, is put one regular step, or one tick, after the frame before. Pictures are turned
    upright as the file's rotation tag says, and all have the size of the first.

    Args:
        path: a file; the first video stream in it that is not a cover picture is read.

    Attributes:
        info: what the file says of the stream.
        count: the frames that were given out so far.

    Raises:
        VideoError: no such file, or not a video that can be read.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            import av
        except ImportError as error:
            raise MissingExtraError("av", "video") from error
        self._path = Path(path)
        self.count = 0
        if not self._path.exists():
            raise VideoError(f"{path}: no such file")
        if not self._path.is_file():
            raise VideoError(f"{path}: not a file", expected="a video file")
        self._av_error: type[Exception] = av.error.FFmpegError
        try:
            self._container: Any = av.open(str(self._path))
        except (av.error.FFmpegError, UnicodeError) as error:
            raise VideoError(
                f"{path}: cannot be opened as a video", got=_cause(error),
                expected="a video file, whole",
            ) from error
        try:
            self._stream = self._choose_stream()
            self._stream.thread_type = "AUTO"
            self._first, self._rest = self._look_at_first()
            self.info = self._read_info()
        except BaseException:
            self._container.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame.

        Raises:
            VideoError: the file ends early or cannot be decoded further; every frame that could
                be decoded came before.
        """
        step = max(1, round(1 / (self.info.rate * self.info.time_base)))
        start, last = self._first.pts or 0, -1
        decoded: Any = self._first
        while decoded is not None:
            if decoded.pts is not None:
                pts = max(decoded.pts - start, last + 1)
            else:
                pts = last + step if self.count else 0
            duration = int(getattr(decoded, "duration", 0) or 0)
            frame = Frame(self.count, self._upright_rgb(decoded), pts, duration)
            last = pts
            self.count += 1
            yield frame
            decoded = next(self._rest, None)
        self._check_whole(self.count, (last + (duration or step)) * self.info.time_base)

    def close(self) -> None:
        """Let the file go; may be called twice."""
        self._container.close()

    def _choose_stream(self) -> Any:
        name = self._container.format.name
        streams = [
            stream
            for stream in self._container.streams.video
            if not _is_cover(stream) and stream.codec_context is not None
        ]
        if not streams or name.endswith("_pipe") or name in NO_VIDEO_FORMATS:
            raise VideoError(
                f"{self._path}: not a video", got=f"a file of format '{name}'",
                expected="a file with a video stream",
                do="for images there is 'detkit predict'" if name.endswith("_pipe")
                or name == "image2" else None,
            )
        return streams[0]

    def _decode(self) -> Iterator[Any]:
        """PyAV's frames; on damage first all that the decoder still holds, then the error."""
        count = 0
        packets = self._container.demux(self._stream)
        while True:
            packet = None
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                pictures = packet.decode()
            except self._av_error as error:
                # Before the first picture: a recording that starts between two key frames.
                if count == 0 and packet is not None:
                    continue
                for picture in self._held_back():
                    count += 1
                    yield picture
                raise VideoError(
                    f"{self._path}: frame {count} cannot be read; the file is damaged or cut off",
                    got=_cause(error),
                ) from error
            for picture in pictures:
                count += 1
                yield picture

    def _held_back(self) -> list[Any]:
        try:
            return list(self._stream.decode(None))
        except (self._av_error, EOFError):
            return []

    def _look_at_first(self) -> tuple[Any, Iterator[Any]]:
        frames = self._decode()
        first = next(frames, None)
        if first is None:
            raise VideoError(
                f"{self._path}: there is no frame in it that can be decoded",
                expected="at least one",
            )
        return first, frames

    def _read_info(self) -> VideoInfo:
        stream, first = self._stream, self._first
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        size_hw = (first.height, first.width)
        if self._quarter_turns(first) % 2:
            size_hw, aspect = size_hw[::-1], 1 / aspect
        return VideoInfo(
            size_hw=size_hw,
            time_base=Fraction(stream.time_base or 1 / rate),
            rate=Fraction(rate),
            frame_count=stream.frames or None,
            pixel_aspect=Fraction(aspect),
            has_sound=bool(self._container.streams.audio),
        )

    @staticmethod
    def _quarter_turns(decoded: Any) -> int:
        """Counter-clockwise quarter turns that bring the picture upright."""
        return round((getattr(decoded, "rotation", 0) or 0) / 90) % 4

    def _upright_rgb(self, decoded: Any) -> NDArray[np.uint8]:
        # FAST_BILINEAR gives what OpenCV's reader gives, faster than PyAV's default.
        rgb = decoded.reformat(
            width=self._first.width, height=self._first.height, format="rgb24",
            interpolation="FAST_BILINEAR",
        ).to_ndarray()
        turns = self._quarter_turns(decoded)
        return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb

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


def _is_cover(stream: Any) -> bool:
    disposition = getattr(stream, "disposition", None)
    return disposition is not None and "attached_pic" in str(disposition)


def _cause(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
