"""Reads frames from a camera or a network stream."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from detkit.errors import VideoError
from detkit.video.io.containers import (
    MAX_FRAME_PIXELS,
    PLAYLIST_FORMATS,
    error_reason,
    load_av,
    open_device,
    open_url,
)
from detkit.video.io.declared_length import check_declared_length
from detkit.video.io.decoding import (
    STALL_SECONDS,
    FrameDecoder,
    UprightConverter,
    has_timestamps,
    read_video_info,
    select_video_stream,
)
from detkit.video.io.frame import Frame, VideoInfo
from detkit.video.io.frame_times import FrameTimes

# Sequences of images without timestamps: FFmpeg assumes 25 frames per second for them.
FORMATS_WITHOUT_TIMES = ("mpjpeg", "mjpeg", "image2pipe")
ARRIVAL_TIME_BASE = Fraction(1, 90_000)
# FFmpeg's AVFMT_FLAG_NONBLOCK, which has no named option: reading a camera must not block in the
# kernel, where no timeout applies.
CAMERA_OPTIONS = {"fflags": "+4"}


class LiveReader:
    """An opened camera, RTSP or HTTP stream; iterate over it once for its `Frame`.

    Damaged packets are skipped and counted, since networks lose packets. Frames keep the
    timestamps of the stream; if it has none, they get their arrival times. Timestamps start at 0
    and increase.

    Args:
        url: 'rtsp://...', 'http://...', or the device of a camera, as `open_camera` gives it.
        options: of FFmpeg, to open it.
        container_format: FFmpeg's input device for a camera; None to detect the format.
        name: the name used in messages; the URL by default.
        max_pixels: maximum number of pixels of a frame.

    Attributes:
        name, info, count, notes: see `VideoReader`.
        live: whether it has no end; False for a recording.
        audio: None; the audio of a stream is not copied.
        ended: whether the server has ended the stream.

    Raises:
        VideoError: it cannot be opened within 4 seconds, or has no video.
        MissingExtraError: PyAV is not installed.
    """

    audio = None
    audio_start = Fraction(0)

    def __init__(
        self, url: str, options: dict[str, str] | None = None,
        container_format: str | None = None, name: str | None = None,
        max_pixels: int = MAX_FRAME_PIXELS,
    ) -> None:
        av = self._av = load_av()
        self.name = name or url
        self.count = 0
        self.ended = False
        self._times: FrameTimes | None = None
        # Probe the stream for one second instead of five.
        open_options = {"analyzeduration": "1000000", **(options or {})}
        try:
            self._container: Any = open_url(
                url, open_options, STALL_SECONDS, max_pixels
            ) if container_format is None else open_device(
                url, container_format, open_options, STALL_SECONDS, max_pixels)
        except (av.error.FFmpegError, ValueError, OverflowError) as error:
            raise VideoError(f"{self.name}: cannot be opened",
                             got=self._open_error_reason(error)) from error
        try:
            self._open_stream(max_pixels)
        except BaseException:
            self._container.close()
            raise

    def _open_stream(self, max_pixels: int) -> None:
        stream = self._stream = select_video_stream(self._container, self.name, max_pixels)
        # Frame threads would delay every frame.
        stream.thread_type = "SLICE"
        self._decoder = FrameDecoder(self._container, stream, self.name, max_pixels,
                                     skip_corrupt=True)
        self._frames = iter(self._decoder)
        self._first = self._next()
        if self._first is None:
            raise VideoError(f"{self.name}: no frame received")
        # Counts the packets before the first frame as lost.
        self._decoder.lost_frames.add_frame(self._first.pts, 1)
        self._to_upright = UprightConverter(self._first)
        reported = read_video_info(self._container, stream, self._to_upright.size_hw)
        self.live = self._container.duration is None
        self._without_times = (self._container.format.name in FORMATS_WITHOUT_TIMES
                               or not has_timestamps(stream))
        self.info = VideoInfo(reported.size_hw,
                              ARRIVAL_TIME_BASE if self._without_times else reported.time_base,
                              reported.fps, reported.frame_count, reported.pixel_aspect,
                              reported.has_audio,
                              )

    def __iter__(self) -> Iterator[Frame]:
        """Yield each frame as it arrives, until the server ends the stream.

        Raises:
            VideoError: no frame for 4 seconds, or a recording ended before its declared end.
        """
        decoded = self._first
        reported = self._arrival_pts() if self._without_times else decoded.pts
        start = reported or 0
        times = self._times = FrameTimes(self.info.time_base, 1, start)
        pts = 0
        spent = 0.0
        while decoded is not None:
            arrived = self._decoder.last_packet_time
            pts = times.add(reported)
            begin = time.perf_counter()
            image = self._to_upright(decoded)
            spent += time.perf_counter() - begin
            self.count += 1
            yield Frame(self.count - 1, image, pts, 0, arrived, spent)
            begin, wait_seconds = time.perf_counter(), self._decoder.wait_seconds
            decoded = self._next()
            spent = time.perf_counter() - begin - (self._decoder.wait_seconds - wait_seconds)
            if decoded is not None:
                reported = self._arrival_pts() if self._without_times else decoded.pts
        self.ended = True
        if not self.live and not self._without_times:
            check_declared_length(self.name, self._stream, start, self.count,
                                  (pts + times.skipped_ticks) * self.info.time_base)

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages about the damage skipped so far, and about implausible timestamps."""
        damaged = self._decoder.lost_frames.damaged
        notes = [f"damaged packets skipped: {damaged}"] if damaged else []
        notes += self._times.notes() if self._times is not None else []
        return tuple(f"{self.name}: {note}" for note in notes)

    def close(self) -> None:
        """Close the stream; may be called twice."""
        self._container.close()

    def _arrival_pts(self) -> int:
        return round(self._decoder.last_packet_time / ARRIVAL_TIME_BASE)

    def _next(self) -> Any:
        try:
            return next(self._frames, None)
        except VideoError as error:
            reason = error.__cause__
            if isinstance(reason, self._av.error.ExitError):
                raise VideoError(f"{self.name}: no frame received for {STALL_SECONDS:g} s",
                                 got=f"{self.count} frames before") from reason
            # An HTTP stream of unknown length ends like this when the server closes it.
            if isinstance(reason, OSError) and self.count:
                declared = self._declared_bytes()
                if not declared or 0 < self._stream.frames <= self.count:
                    return None
                raise VideoError(f"{self.name}: ended early, after {self.count} frames",
                                 got=error_reason(reason), expected=f"{declared} bytes",
                                 ) from reason
            raise

    def _declared_bytes(self) -> int:
        """The Content-Length of a stream; 0 if it has none, or for a playlist."""
        if self._container.format.name in PLAYLIST_FORMATS:
            return 0
        return max(0, int(self._container.size))

    def _open_error_reason(self, error: Exception) -> str:
        if isinstance(error, self._av.error.ExitError):
            return f"no response for {STALL_SECONDS:g} s"
        if isinstance(error, self._av.error.ArgumentError):
            return f"an unsupported format ({error_reason(error)})"
        return error_reason(error)


def open_camera(index: int, max_pixels: int = MAX_FRAME_PIXELS) -> LiveReader:
    """Open the camera with this index.

    Raises:
        VideoError: there is no such camera, or the system is not supported.
        MissingExtraError: PyAV is not installed.
    """
    name = f"camera {index}"
    if sys.platform.startswith("linux"):
        device = Path(f"/dev/video{index}")
        if not device.exists():
            available = ", ".join(
                sorted(path.name[len("video"):] for path in Path("/dev").glob("video[0-9]*")))
            raise VideoError(
                f"{name}: {device} does not exist",
                expected=f"one of the cameras {available}" if available else "a camera")
        return LiveReader(str(device), CAMERA_OPTIONS, "v4l2", name, max_pixels)
    if sys.platform == "darwin":
        return LiveReader(f"{index}:none", {"framerate": "30"}, "avfoundation", name, max_pixels)
    raise VideoError(f"{name}: a camera index is supported on Linux and macOS only",
                     hint="use the RTSP or HTTP URL of the camera")
