"""From an opened container to upright RGB pictures; for files and for live addresses alike."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import VideoError
from detkit.video.io.containers import cause_of, decoder_limit, load_av
from detkit.video.io.display_matrix import UPRIGHT, orientation_of
from detkit.video.io.frame import VideoInfo
from detkit.video.io.frame_times import MAX_STEP_SECONDS
from detkit.video.io.missing_frames import LostFrames

# FFmpeg also "plays" still images and text files; those are no videos here.
NO_VIDEO_FORMATS = ("image2", "tty")
GUESSED_RATE = Fraction(25)
# A rate or a tick beyond these is no one's; the times of frames, if they have any, go on counting.
MIN_RATE, MAX_RATE = Fraction(1, MAX_STEP_SECONDS), Fraction(1_000_000)
# To open what is live, and then for each picture. What is left of five seconds is for the way
# down.
STALL_SECONDS = 4.0
CAMERA_NAP_SECONDS = 0.002


def choose_stream(container: Any, name: str, max_pixels: int) -> Any:
    """The first video stream that is not a cover picture, judged by what the file says of it.

    Its decoder will refuse frames that are far larger, should their size change later.

    Raises:
        VideoError: there is none, or its frames have more than ``max_pixels``.
    """
    format_name = container.format.name
    streams = [
        stream
        for stream in container.streams.video
        if not _is_cover(stream) and stream.codec_context is not None
    ]
    still = format_name.endswith("_pipe") and format_name != "image2pipe"
    if not streams or still or format_name in NO_VIDEO_FORMATS:
        raise VideoError(
            f"{name}: not a video", got=f"a file of format '{format_name}'",
            expected="a file with a video stream",
            do="for images there is 'detkit predict'" if still or format_name == "image2"
            else None,
        )
    context = streams[0].codec_context
    if context.width * context.height > max_pixels:
        raise VideoError(f"{name}: its frames have too many pixels",
                         got=f"{context.width}x{context.height}",
                         expected=f"at most {max_pixels} pixels",
                         do="scale the video down, or allow more with --max-pixels")
    context.options = {"max_pixels": decoder_limit(max_pixels)}
    return streams[0]


class Decoding:
    """Iterates over PyAV's frames of one stream.

    On damage come first all frames that the decoder still holds, then the error. Before the
    first picture damage is passed over: a recording may start between two key frames.

    Args:
        max_pixels: frames of more are an error.
        forgiving: go on behind damage, as with a network that loses packets.

    Attributes:
        waited: the seconds that were spent waiting for packets so far.
        packet_at: when the last packet came, in seconds of ``time.perf_counter``.
        lost: what was passed over so far, as far as the packets show it.

    Raises:
        VideoError: while iterating: the stream cannot be decoded further.
    """

    def __init__(
        self, container: Any, stream: Any, name: str, max_pixels: int, forgiving: bool = False
    ) -> None:
        av = load_av()
        self._error: type[Exception] = av.error.FFmpegError
        self._damage: type[Exception] = av.error.InvalidDataError
        self._nothing_yet: type[Exception] = av.error.BlockingIOError
        self._stalled: type[Exception] = av.error.ExitError
        self._container = container
        self._stream = stream
        self._name = name
        self._max_pixels = max_pixels
        self._forgiving = forgiving
        self._packets = container.demux(stream)
        self._count = 0
        self.waited = 0.0
        self.packet_at = 0.0
        self.lost = LostFrames()

    def __iter__(self) -> Iterator[Any]:
        while True:
            packet = None
            try:
                packet = self._next_packet()
                if packet is None:
                    return
                self.lost.add_packet(packet)
                pictures = packet.decode()
            except self._error as error:
                if packet is not None and (self._count == 0 or self._may_go_on(error)):
                    if self._count:  # before the first frame they are counted as early
                        self.lost.add_damage(packet.pts)
                    continue
                for picture in self._held_back():
                    self._count += 1
                    yield picture
                raise self._broken(error) from error
            for picture in pictures:
                if picture.width * picture.height > self._max_pixels:
                    raise self._too_large(picture.width, picture.height)
                self._count += 1
                yield picture

    def _next_packet(self) -> Any:
        begin = time.perf_counter()
        while True:
            try:
                return next(self._packets, None)
            except self._nothing_yet as error:
                # A camera that is asked not to block; files and networks keep time themselves.
                if time.perf_counter() - begin > STALL_SECONDS:
                    raise self._stalled(0, "no picture came") from error
                time.sleep(CAMERA_NAP_SECONDS)
                self._packets = self._container.demux(self._stream)
            finally:
                now = time.perf_counter()
                self.waited += now - max(begin, self.packet_at)
                self.packet_at = now

    def _may_go_on(self, error: Exception) -> bool:
        return self._forgiving and isinstance(error, self._damage)

    def _too_large(self, width: int, height: int) -> VideoError:
        """For a frame of that size; zeros where the decoder forgets a size that it refuses."""
        return VideoError(f"{self._name}: frame {self._count} has too many pixels",
                          got=f"{width}x{height}" if height * width else None,
                          expected=f"at most {self._max_pixels}",
                          do="scale the video down, or allow more with --max-pixels")

    def _held_back(self) -> list[Any]:
        try:
            return list(self._stream.decode(None))
        except (self._error, EOFError):
            return []

    def _broken(self, error: Exception) -> VideoError:
        height, width = self._stream.codec_context.height, self._stream.codec_context.width
        if self._count and not 0 < height * width <= self._max_pixels:
            return self._too_large(width, height)
        what = "the file is damaged or cut off"
        if self._forgiving:
            return VideoError(f"{self._name}: the stream broke off after {self._count} frames",
                              got=cause_of(error))
        return VideoError(f"{self._name}: frame {self._count} cannot be read; {what}",
                          got=cause_of(error))


class Upright:
    """Turns PyAV's frames into RGB pictures, upright, all of the first one's size.

    Colours follow the matrix (BT.601, BT.709, ...) and the range that the stream names.

    Args:
        first: the first frame.

    Attributes:
        size_hw: of the upright pictures, in pixels.
    """

    def __init__(self, first: Any) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        # One that is kept: a new one for each frame costs a third more.
        self._reformatter = VideoReformatter()
        # FAST_BILINEAR gives what OpenCV's reader gives, faster than PyAV's default.
        self._how = Interpolation.FAST_BILINEAR
        self._stored_hw = (first.height, first.width)
        turned = orientation_of(first).transposed
        self.size_hw = self._stored_hw[::-1] if turned else self._stored_hw

    def __call__(self, decoded: Any) -> NDArray[np.uint8]:
        """The (H, W, 3) uint8 RGB picture of one frame."""
        height, width = self._stored_hw
        rgb = self._reformatter.reformat(
            decoded, width, height, "rgb24", interpolation=self._how, threads=1
        )
        plane: Any = rgb.planes[0]
        rows: NDArray[np.uint8] = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        # The picture stays where swscale put it, unless its rows are padded.
        image = np.ascontiguousarray(rows[:height, :width * 3]).reshape(height, width, 3)
        orientation = orientation_of(decoded)
        if height != width and orientation.transposed != (self.size_hw != self._stored_hw):
            return image  # a tag that comes in the middle of a stream cannot change the size
        return image if orientation == UPRIGHT else orientation.apply(image)


def info_of(container: Any, stream: Any, size_hw: tuple[int, int]) -> VideoInfo:
    """What the opened ``stream`` says of itself, its pictures being of ``size_hw``."""
    rate = Fraction(stream.average_rate or stream.guessed_rate or GUESSED_RATE)
    if not MIN_RATE <= rate <= MAX_RATE:
        rate = GUESSED_RATE
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if aspect <= 0:
        aspect = Fraction(1)
    if size_hw != (stream.codec_context.height, stream.codec_context.width):
        aspect = 1 / aspect
    return VideoInfo(
        size_hw=size_hw,
        time_base=Fraction(stream.time_base) if has_times(stream) else 1 / rate,
        rate=rate,
        frame_count=stream.frames if stream.frames > 0 else None,
        pixel_aspect=aspect,
        has_sound=bool(container.streams.audio),
    )


def has_times(stream: Any) -> bool:
    """Whether the ticks of ``stream`` can be times: each above zero and no longer than a step."""
    return 0 < (stream.time_base or 0) <= MAX_STEP_SECONDS


def _is_cover(stream: Any) -> bool:
    disposition = getattr(stream, "disposition", None)
    return disposition is not None and "attached_pic" in str(disposition)
