"""Frames from a camera or an address, as they come."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from detkit.errors import MissingExtraError, VideoError
from detkit.video.decoding import (
    STALL_SECONDS,
    Decoding,
    Upright,
    cause_of,
    choose_stream,
    info_of,
)
from detkit.video.frame import Frame, VideoInfo

# Rows of pictures without times of their own: FFmpeg counts them at 25 a second, whatever comes.
CLOCKLESS = ("mpjpeg", "mjpeg", "image2pipe")
ARRIVAL_CLOCK = Fraction(1, 90_000)
# FFmpeg's AVFMT_FLAG_NONBLOCK, which has no name among its options: a camera is opened and read
# so that reading never waits in the kernel, where no time limit reaches it.
CAMERA_OPTIONS = {"fflags": "+4"}


class LiveReader:
    """An opened camera, RTSP or HTTP stream; iterate over it once for its `Frame`.

    Damage is passed over and counted, as networks lose packets. The stream's own times are kept
    where it has some; else a frame's time is that of its arrival. Times start at 0 and rise.

    Args:
        address: 'rtsp://...', 'http://...', or what `camera_address` gives.
        options: FFmpeg's, for opening it.
        container_format: FFmpeg's input device for a camera; None to find the format out.
        name: what messages call it; the address when left out.

    Attributes:
        name, info, count, notes: as of `VideoReader`.
        live: whether it has no end of its own; False of a recording at an address.
        sound: None; the sound of a stream is not kept.
        ended: whether the other side ended the stream.

    Raises:
        VideoError: it cannot be opened within 4 seconds, or has no video.
        MissingExtraError: PyAV is not installed.
    """

    sound = None
    sound_start = Fraction(0)

    def __init__(
        self, address: str, options: dict[str, str] | None = None,
        container_format: str | None = None, name: str | None = None,
    ) -> None:
        try:
            import av
        except ImportError as error:
            raise MissingExtraError("av", "video") from error
        self._av: Any = av
        self.name = name or address
        self.count = 0
        self.ended = False
        # A second of looking at the stream before the first picture, instead of five.
        asked = {"analyzeduration": "1000000", **(options or {})}
        try:
            self._container: Any = av.open(
                address, format=container_format, options=asked, timeout=STALL_SECONDS
            )
        except (av.error.FFmpegError, UnicodeError, ValueError) as error:
            raise VideoError(f"{self.name}: cannot be opened", got=self._why(error)) from error
        try:
            self._open_stream()
        except BaseException:
            self._container.close()
            raise

    def _open_stream(self) -> None:
        stream = choose_stream(self._container, self.name)
        # Threads that each hold a frame would hold every picture back.
        stream.thread_type = "SLICE"
        self._decoding = Decoding(self._container, stream, self.name, forgiving=True)
        self._rest = iter(self._decoding)
        self._first = self._next()
        if self._first is None:
            raise VideoError(f"{self.name}: no picture comes from it")
        # Times of packets are kept until there is a frame, which the decoding does not see.
        self._decoding.lost.add_frame(self._first.pts, 1)
        self._upright = Upright(self._first)
        said = info_of(self._container, stream, self._upright.size_hw)
        self.live = self._container.duration is None
        self._clockless = self._container.format.name in CLOCKLESS
        self.info = VideoInfo(
            said.size_hw, ARRIVAL_CLOCK if self._clockless else said.time_base, said.rate,
            said.frame_count, said.pixel_aspect, said.has_sound,
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame as it comes; ends when the other side ends the stream.

        Raises:
            VideoError: nothing came for 4 seconds.
        """
        last, decoded = -1, self._first
        start: int | None = None
        arrived = spent = 0.0
        while decoded is not None:
            arrived = self._decoding.packet_at
            clock = self._arrival() if self._clockless else decoded.pts
            if clock is None:
                clock = last + 1 + (start or 0)
            start = clock if start is None else start
            pts = max(clock - start, last + 1)
            begin = time.perf_counter()
            image = self._upright(decoded)
            spent += time.perf_counter() - begin
            last = pts
            self.count += 1
            yield Frame(self.count - 1, image, pts, 0, arrived, spent)
            begin, waited = time.perf_counter(), self._decoding.waited
            decoded = self._next()
            spent = time.perf_counter() - begin - (self._decoding.waited - waited)
        self.ended = True

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence on the damage that was passed over so far; none without."""
        damaged = self._decoding.lost.damaged
        return (f"{self.name}: damaged packets passed over: {damaged}",) if damaged else ()

    def close(self) -> None:
        """Let the stream go; may be called twice."""
        self._container.close()

    def _arrival(self) -> int:
        return round(self._decoding.packet_at / ARRIVAL_CLOCK)

    def _next(self) -> Any:
        try:
            return next(self._rest, None)
        except VideoError as error:
            reason = error.__cause__
            if isinstance(reason, self._av.error.ExitError):
                raise VideoError(f"{self.name}: no picture came for {STALL_SECONDS:g} s",
                                 got=f"{self.count} frames before") from reason
            # An HTTP stream of no said length ends so when the server closes it.
            if isinstance(reason, OSError) and self.count:
                return None
            raise

    def _why(self, error: Exception) -> str:
        if isinstance(error, self._av.error.ExitError):
            return f"no answer for {STALL_SECONDS:g} s"
        return cause_of(error)


def open_camera(index: int) -> LiveReader:
    """Open the camera of that number.

    Raises:
        VideoError: no such camera, or none can be opened on this system.
        MissingExtraError: PyAV is not installed.
    """
    name = f"camera {index}"
    if sys.platform.startswith("linux"):
        device = Path(f"/dev/video{index}")
        if not device.exists():
            there = ", ".join(sorted(path.name[len("video"):]
                                     for path in Path("/dev").glob("video[0-9]*")))
            raise VideoError(f"{name}: there is no {device}",
                             expected=f"one of the cameras {there}" if there else "a camera")
        return LiveReader(str(device), CAMERA_OPTIONS, "v4l2", name)
    if sys.platform == "darwin":
        return LiveReader(f"{index}:none", {"framerate": "30"}, "avfoundation", name)
    raise VideoError(f"{name}: cameras are opened by number on Linux and macOS only",
                     do="give the camera's RTSP or HTTP address")
