"""From an opened container to upright RGB pictures; for files and for live addresses alike."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import VideoError
from detkit.video.io.containers import decoder_limit, error_reason, load_av
from detkit.video.io.display_matrix import UPRIGHT, frame_orientation
from detkit.video.io.frame import VideoInfo
from detkit.video.io.frame_times import MAX_STEP_SECONDS
from detkit.video.io.missing_frames import LostFrames

# FFmpeg also "plays" still images and text files; those are no videos here.
STILL_IMAGE_FORMATS = ("image2", "tty")
FALLBACK_FPS = Fraction(25)
# A rate or a tick beyond these is no one's; the times of frames, if they have any, go on counting.
MIN_FPS, MAX_FPS = Fraction(1, MAX_STEP_SECONDS), Fraction(1_000_000)
# To open what is live, and then for each picture. What is left of five seconds is for the way
# down.
STALL_SECONDS = 4.0
CAMERA_POLL_SECONDS = 0.002


def select_video_stream(container: Any, name: str, max_pixels: int) -> Any:
    """The first video stream that is not a cover picture, judged by what the file says of it.

    Its decoder will refuse frames that are far larger, should their size change later.

    Raises:
        VideoError: there is none, or its frames have more than ``max_pixels``.
    """
    format_name = container.format.name
    streams = [
        stream
        for stream in container.streams.video
        if not _is_cover_art(stream) and stream.codec_context is not None
    ]
    is_still_image = format_name.endswith("_pipe") and format_name != "image2pipe"
    if not streams or is_still_image or format_name in STILL_IMAGE_FORMATS:
        raise VideoError(
            f"{name}: not a video", got=f"a file of format '{format_name}'",
            expected="a file with a video stream",
            hint="for images there is 'detkit predict'" if is_still_image or format_name == "image2"
            else None,
        )
    context = streams[0].codec_context
    if context.width * context.height > max_pixels:
        raise VideoError(f"{name}: its frames have too many pixels",
                         got=f"{context.width}x{context.height}",
                         expected=f"at most {max_pixels} pixels",
                         hint="scale the video down, or allow more with --max-pixels")
    context.options = {"max_pixels": decoder_limit(max_pixels)}
    return streams[0]


class FrameDecoder:
    """Iterates over PyAV's frames of one stream.

    On damage come first all frames that the decoder still holds, then the error. Before the
    first picture damage is passed over: a recording may start between two key frames.

    Args:
        max_pixels: frames of more are an error.
        skip_corrupt: go on behind damage, as with a network that loses packets.

    Attributes:
        wait_seconds: the seconds that were spent waiting for packets so far.
        last_packet_time: when the last packet came, in seconds of ``time.perf_counter``.
        lost_frames: what was passed over so far, as far as the packets show it.

    Raises:
        VideoError: while iterating: the stream cannot be decoded further.
    """

    def __init__(
        self, container: Any, stream: Any, name: str, max_pixels: int, skip_corrupt: bool = False
    ) -> None:
        av = load_av()
        self._ffmpeg_error: type[Exception] = av.error.FFmpegError
        self._invalid_data_error: type[Exception] = av.error.InvalidDataError
        self._would_block_error: type[Exception] = av.error.BlockingIOError
        self._timeout_error: type[Exception] = av.error.ExitError
        self._container = container
        self._stream = stream
        self._name = name
        self._max_pixels = max_pixels
        self._skip_corrupt = skip_corrupt
        self._packets = container.demux(stream)
        self._count = 0
        self.wait_seconds = 0.0
        self.last_packet_time = 0.0
        self.lost_frames = LostFrames()

    def __iter__(self) -> Iterator[Any]:
        while True:
            packet = None
            try:
                packet = self._next_packet()
                if packet is None:
                    return
                self.lost_frames.add_packet(packet)
                frames = packet.decode()
            except self._ffmpeg_error as error:
                if packet is not None and (self._count == 0 or self._is_skippable(error)):
                    if self._count:  # before the first frame they are counted as early
                        self.lost_frames.add_damage(packet.pts)
                    continue
                for frame in self._flush_decoder():
                    self._count += 1
                    yield frame
                raise self._decode_error(error) from error
            for frame in frames:
                if frame.width * frame.height > self._max_pixels:
                    raise self._too_large(frame.width, frame.height)
                self._count += 1
                yield frame

    def _next_packet(self) -> Any:
        begin = time.perf_counter()
        while True:
            try:
                return next(self._packets, None)
            except self._would_block_error as error:
                # A camera that is asked not to block; files and networks keep time themselves.
                if time.perf_counter() - begin > STALL_SECONDS:
                    raise self._timeout_error(0, "no picture came") from error
                time.sleep(CAMERA_POLL_SECONDS)
                self._packets = self._container.demux(self._stream)
            finally:
                now = time.perf_counter()
                self.wait_seconds += now - max(begin, self.last_packet_time)
                self.last_packet_time = now

    def _is_skippable(self, error: Exception) -> bool:
        return self._skip_corrupt and isinstance(error, self._invalid_data_error)

    def _too_large(self, width: int, height: int) -> VideoError:
        """For a frame of that size; zeros where the decoder forgets a size that it refuses."""
        return VideoError(f"{self._name}: frame {self._count} has too many pixels",
                          got=f"{width}x{height}" if height * width else None,
                          expected=f"at most {self._max_pixels}",
                          hint="scale the video down, or allow more with --max-pixels")

    def _flush_decoder(self) -> list[Any]:
        try:
            return list(self._stream.decode(None))
        except (self._ffmpeg_error, EOFError):
            return []

    def _decode_error(self, error: Exception) -> VideoError:
        height, width = self._stream.codec_context.height, self._stream.codec_context.width
        if self._count and not 0 < height * width <= self._max_pixels:
            return self._too_large(width, height)
        reason = "the file is damaged or cut off"
        if self._skip_corrupt:
            return VideoError(f"{self._name}: the stream broke off after {self._count} frames",
                              got=error_reason(error))
        return VideoError(f"{self._name}: frame {self._count} cannot be read; {reason}",
                          got=error_reason(error))


class UprightConverter:
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
        self._interpolation = Interpolation.FAST_BILINEAR
        self._stored_hw = (first.height, first.width)
        transposed = frame_orientation(first).transposed
        self.size_hw = self._stored_hw[::-1] if transposed else self._stored_hw

    def __call__(self, decoded: Any) -> NDArray[np.uint8]:
        """The (H, W, 3) uint8 RGB picture of one frame."""
        height, width = self._stored_hw
        rgb = self._reformatter.reformat(
            decoded, width, height, "rgb24", interpolation=self._interpolation, threads=1
        )
        plane: Any = rgb.planes[0]
        rows: NDArray[np.uint8] = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        # The picture stays where swscale put it, unless its rows are padded.
        image = np.ascontiguousarray(rows[:height, :width * 3]).reshape(height, width, 3)
        orientation = frame_orientation(decoded)
        if height != width and orientation.transposed != (self.size_hw != self._stored_hw):
            return image  # a tag that comes in the middle of a stream cannot change the size
        return image if orientation == UPRIGHT else orientation.apply(image)


def read_video_info(container: Any, stream: Any, size_hw: tuple[int, int]) -> VideoInfo:
    """What the opened ``stream`` says of itself, its pictures being of ``size_hw``."""
    fps = Fraction(stream.average_rate or stream.guessed_rate or FALLBACK_FPS)
    if not MIN_FPS <= fps <= MAX_FPS:
        fps = FALLBACK_FPS
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if aspect <= 0:
        aspect = Fraction(1)
    if size_hw != (stream.codec_context.height, stream.codec_context.width):
        aspect = 1 / aspect
    return VideoInfo(
        size_hw=size_hw,
        time_base=Fraction(stream.time_base) if has_timestamps(stream) else 1 / fps,
        fps=fps,
        frame_count=stream.frames if stream.frames > 0 else None,
        pixel_aspect=aspect,
        has_audio=bool(container.streams.audio),
    )


def has_timestamps(stream: Any) -> bool:
    """Whether the ticks of ``stream`` can be times: each above zero and no longer than a step."""
    return 0 < (stream.time_base or 0) <= MAX_STEP_SECONDS


def _is_cover_art(stream: Any) -> bool:
    disposition = getattr(stream, "disposition", None)
    return disposition is not None and "attached_pic" in str(disposition)
