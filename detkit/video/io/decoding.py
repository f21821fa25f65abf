"""Decodes an opened container to upright RGB images; for files and live streams."""

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

# FFmpeg also decodes still images and text files as videos.
STILL_IMAGE_FORMATS = ("image2", "tty")
FALLBACK_FPS = Fraction(25)
# Rates outside these limits are errors of the file; timestamps are used regardless.
MIN_FPS, MAX_FPS = Fraction(1, MAX_STEP_SECONDS), Fraction(1_000_000)
# Timeout to open a live source, and for each frame; with the shutdown it stays below 5 seconds.
STALL_SECONDS = 4.0
CAMERA_POLL_SECONDS = 0.002


def select_video_stream(container: Any, name: str, max_pixels: int) -> Any:
    """The first video stream that is not cover art.

    The size in its header is checked, and its decoder is limited in case the size changes later.

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
            hint="for images use 'detkit predict'" if is_still_image or format_name == "image2"
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
    """Iterates over PyAV's frames of a stream.

    When a packet is damaged, the frames that the decoder still holds come first, then the error.
    Damage before the first frame is skipped: a recording may start between two key frames.

    Args:
        container: PyAV's input container.
        stream: its video stream.
        name: the name used in messages.
        max_pixels: maximum number of pixels of a frame.
        skip_corrupt: skip damaged packets, as for a network that loses packets.

    Attributes:
        wait_seconds: time spent waiting for packets.
        last_packet_time: arrival time of the last packet, in seconds of ``time.perf_counter``.
        lost_frames: counts the frames lost so far.

    Raises:
        VideoError: while iterating, if the stream cannot be decoded further.
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
                    if self._count:  # before the first frame, `LostFrames` counts them as early
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
                # A camera in non-blocking mode; files and networks have their own timeouts.
                if time.perf_counter() - begin > STALL_SECONDS:
                    raise self._timeout_error(0, "no frame received") from error
                time.sleep(CAMERA_POLL_SECONDS)
                self._packets = self._container.demux(self._stream)
            finally:
                now = time.perf_counter()
                self.wait_seconds += now - max(begin, self.last_packet_time)
                self.last_packet_time = now

    def _is_skippable(self, error: Exception) -> bool:
        return self._skip_corrupt and isinstance(error, self._invalid_data_error)

    def _too_large(self, width: int, height: int) -> VideoError:
        """The error for a frame of this size; 0 x 0 if the decoder has not kept the size."""
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
        reason = "the file is damaged or truncated"
        if self._skip_corrupt:
            return VideoError(f"{self._name}: the stream failed after {self._count} frames",
                              got=error_reason(error))
        return VideoError(f"{self._name}: frame {self._count} cannot be read; {reason}",
                          got=error_reason(error))


class UprightConverter:
    """Converts PyAV's frames to upright RGB images, all of the size of the first.

    The color matrix (BT.601, BT.709, ...) and the range are those of the stream.

    Args:
        first: the first frame.

    Attributes:
        size_hw: height and width of the upright images, in pixels.
    """

    def __init__(self, first: Any) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        # Reused, since a new one for each frame takes a third longer.
        self._reformatter = VideoReformatter()
        # FAST_BILINEAR gives the same images as OpenCV's reader, and is faster than PyAV's default.
        self._interpolation = Interpolation.FAST_BILINEAR
        self._stored_hw = (first.height, first.width)
        transposed = frame_orientation(first).transposed
        self.size_hw = self._stored_hw[::-1] if transposed else self._stored_hw

    def __call__(self, decoded: Any) -> NDArray[np.uint8]:
        """Convert a frame to an (H, W, 3) uint8 RGB image."""
        height, width = self._stored_hw
        rgb = self._reformatter.reformat(
            decoded, width, height, "rgb24", interpolation=self._interpolation, threads=1
        )
        plane: Any = rgb.planes[0]
        rows: NDArray[np.uint8] = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        # Not copied, unless the rows are padded.
        image = np.ascontiguousarray(rows[:height, :width * 3]).reshape(height, width, 3)
        orientation = frame_orientation(decoded)
        if height != width and orientation.transposed != (self.size_hw != self._stored_hw):
            return image  # a rotation tag in the middle of a stream cannot change the size
        return image if orientation == UPRIGHT else orientation.apply(image)


def read_video_info(container: Any, stream: Any, size_hw: tuple[int, int]) -> VideoInfo:
    """The properties of the opened ``stream``, whose upright images have size ``size_hw``."""
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
    """Whether the time base of ``stream`` is valid, so that its timestamps can be used."""
    return 0 < (stream.time_base or 0) <= MAX_STEP_SECONDS


def _is_cover_art(stream: Any) -> bool:
    disposition = getattr(stream, "disposition", None)
    return disposition is not None and "attached_pic" in str(disposition)
