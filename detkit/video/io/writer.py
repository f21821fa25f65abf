"""Writes frames to a video file, by default H.264, with the audio of the source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import VideoError
from detkit.video.io.audio import AudioTrack
from detkit.video.io.containers import create_container, error_reason, load_av, open_file
from detkit.video.io.encoders import AUTO, choose_encoder
from detkit.video.io.fragmented_file import FragmentedFile, truncate_to_last_fragment
from detkit.video.io.frame import Frame, VideoInfo

MKV = ".mkv"
FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", MKV: "matroska"}
SUFFIXES = tuple(FORMATS)
# The first three take 5, 12 and 20 ms of a core per 1280x720 frame. Files of the first are 1.7 to
# 2.6 times as large as those of the third, with the same error.
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "medium")
# If the encoder does not support the time base (nanoseconds, say), timestamps are rounded to the
# first of these that it supports.
FALLBACK_TIME_BASES = (Fraction(1, 90_000), Fraction(1, 60_000))
# x264 uses the frame rate only for rate control; rates outside these limits are replaced.
MIN_FPS, MAX_FPS = Fraction(1, 1000), Fraction(1000)
DEFAULT_ENCODER_FPS = Fraction(25)
FRAGMENT_MICROSECONDS = 500_000
# With more threads x264 is hardly faster, and delays one more frame per thread.
MAX_ENCODER_THREADS = 4
BT601 = 6
LIMITED_RANGE = 1


class VideoWriter:
    """Writes frames with their timestamps as yuv420p, by default with x264.

    Odd heights and widths are padded with a copy of the last row or column, since yuv420p needs
    even ones. An mp4 is written in fragments of half a second, which are joined when it is closed:
    if writing fails, on a full disk for example, the file is playable up to its last fragment.
    `close` must be called, also after an error.

    Args:
        path: the file; overwritten if it exists. Its suffix is one of ``SUFFIXES``.
        info: the properties of the source video.
        preset, crf: x264's speed and quality.
        encoder: one of ``ENCODERS``, or 'auto' for the first available.
        audio: a file whose audio is copied; None for no audio.
        audio_start: timestamp of the first video frame in that file, in seconds.
        live: write each frame before the next arrives, at the cost of a larger file.
        on_written: called with the index of each frame that is in the file.

    Attributes:
        count: number of frames in the file; after `close`, of playable frames.
        encoder_note: a message if 'auto' did not find x264; else None.
        audio_error: why the audio is missing or ends early; None if it is complete.

    Raises:
        VideoError: an unknown suffix, a missing encoder, or the file cannot be written.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(
        self, path: Path, info: VideoInfo, preset: str = PRESETS[0], crf: int = 23, *,
        encoder: str = AUTO, audio: Path | None = None, audio_start: Fraction = Fraction(0),
        live: bool = False, on_written: Callable[[int], None] = lambda index: None,
    ) -> None:
        av = self._av = load_av()
        check_suffix(path)
        self._path = path
        self._size_hw = info.size_hw
        self._source_base = info.time_base
        self._encoder = choose_encoder(encoder, path.suffix)
        self.encoder_note: str | None = None
        if encoder == AUTO and not self._encoder.supports_preset:
            self.encoder_note = (f"the installed PyAV has no libx264; the {path.suffix} file is "
                                 f"encoded with {self._encoder.name}")
        self._time_base = next(base for base in (info.time_base, *FALLBACK_TIME_BASES)
                               if base >= self._encoder.min_time_base)
        self._last_pts = -1
        self._end = Fraction(0)
        self._on_written = on_written
        self._pending_frames: dict[int, int] = {}
        self._audio: AudioTrack | None = None
        self._has_edit_list = False
        self.audio_error: str | None = None
        self.count = 0
        # The header is written with the first packet: without packets FFmpeg would crash on close.
        format_name = FORMATS[path.suffix.lower()]
        with _as_video_error(av, path):
            self._file = FragmentedFile(path)
        if audio is not None:
            self._open_audio(audio, audio_start, format_name)
        self._container: Any = None
        try:
            with _as_video_error(av, path):
                self._container = create_container(
                    self._file, format_name,
                    {} if format_name == "matroska" else self._mp4_options())
                self._stream = self._add_stream(info, preset, crf, live)
                if self._audio is not None:
                    self._audio.add_to_container(self._container)
        except BaseException:
            self._release()
            raise

    def add(self, frame: Frame) -> None:
        """Encode a frame; frames must come in the order of their timestamps.

        Raises:
            VideoError: the image has a wrong size, or the file cannot be written (full disk).
        """
        if frame.image.shape != (*self._size_hw, 3) or frame.image.dtype != np.uint8:
            raise VideoError(
                f"frame {frame.index}: invalid output image",
                got=f"shape {frame.image.shape}, {frame.image.dtype}",
                expected=f"shape {(*self._size_hw, 3)}, uint8",
            )
        av_frame = self._to_av_frame(_to_i420(_pad_to_even(frame.image)))
        av_frame.time_base = self._time_base
        av_frame.pts = self._last_pts = max(self._rescale(frame.pts), self._last_pts + 1)
        self._end = (av_frame.pts + self._rescale(frame.duration)) * self._time_base
        self._pending_frames[av_frame.pts] = frame.index
        if hasattr(av_frame, "duration") and frame.duration:
            av_frame.duration = self._rescale(frame.duration)
        av_frame.colorspace, av_frame.color_range = BT601, LIMITED_RANGE
        with _as_video_error(self._av, self._path):
            self._mux(self._stream.encode(av_frame))

    def close(self, complete: bool = True) -> None:
        """Write the remaining frames and the index; may be called twice.

        Args:
            complete: whether all frames were added; then the audio is copied to its end. Else it
                ends with the last frame.

        Raises:
            VideoError: the file cannot be completed; ``count`` of its frames are playable.
        """
        if self._container is None:
            return
        failed_before = self._file.error is not None
        container = self._container
        try:
            with _as_video_error(self._av, self._path):
                try:
                    if not failed_before:
                        if self._last_pts >= 0:
                            self._mux(self._flush_encoder())
                        self._mux_audio(None if complete else self._end)
                finally:
                    container.close()
        except VideoError as error:
            if isinstance(error.__cause__, self._av.error.InvalidDataError) and self._audio:
                raise VideoError(error.message, got=error.got, hint="its audio may be damaged; "
                                 "use --no-audio to leave it out") from error.__cause__
            if not failed_before:  # else the error was raised before
                raise
        finally:
            self._release()

    def _release(self) -> None:
        """Close the files; after a failed write, truncate the output and count its frames."""
        if self._audio is not None:
            self._audio.close()
            self.audio_error = self.audio_error or self._audio.error
        self._container = None
        self._file.close()
        if self._file.error is not None:
            if self._path.suffix.lower() != MKV:
                with suppress(OSError):
                    truncate_to_last_fragment(self._path)
            self.count = _count_frames(self._av, self._path)

    def _open_audio(self, audio: Path, start: Fraction, format_name: str) -> None:
        try:
            self._audio = AudioTrack(audio, start, format_name)
        except (VideoError, self._av.error.FFmpegError, OSError, ValueError, IndexError) as error:
            self.audio_error = error_reason(error)

    def _mp4_options(self) -> dict[str, str]:
        # With these flags the video needs no edit list. Audio that starts at another time needs
        # one, which is known only with its first packet.
        flags = "hybrid_fragmented+negative_cts_offsets"
        self._has_edit_list = self._audio is not None and not self._audio.starts_with_video
        if self._has_edit_list:
            flags += "+delay_moov"
        return {"movflags": flags, "frag_duration": str(FRAGMENT_MICROSECONDS)}

    def _flush_encoder(self) -> list[Any]:
        packets: list[Any] = self._stream.encode(None)
        if packets and self._has_edit_list:
            # FFmpeg's edit list ends one frame early if the last fragment has only one.
            step = self._end / self._time_base - self._last_pts or 1
            packets[-1].duration = 2 * round(step)
        return packets

    def _to_av_frame(self, planes: NDArray[np.uint8]) -> Any:
        # Without a copy if the height is right: PyAV rounds it down to a multiple of 4.
        if planes.shape[0] * 2 // 3 % 4 == 0:
            return self._av.VideoFrame.from_numpy_buffer(planes, "yuv420p")
        return self._av.VideoFrame.from_ndarray(planes, "yuv420p")

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:  # one per frame
            pts = packet.pts
            self._mux_audio(pts * packet.time_base)
            self._container.mux(packet)
            self.count += 1
            self._on_written(self._pending_frames.pop(pts))

    def _mux_audio(self, until: Fraction | None) -> None:
        if self._audio is None:
            return
        try:
            for packet in self._audio.packets_until(until):
                self._container.mux(packet)
        except self._av.error.FFmpegError as error:
            if self._file.error is not None:
                raise
            self._audio.end(error_reason(error))  # damaged audio

    def _rescale(self, ticks: int) -> int:
        return round(ticks * self._source_base / self._time_base)

    def _add_stream(self, info: VideoInfo, preset: str, crf: int, live: bool) -> Any:
        from detkit.machine.cpu_limits import num_cores

        height, width = (side + side % 2 for side in info.size_hw)
        fps = info.fps if MIN_FPS <= info.fps <= MAX_FPS else DEFAULT_ENCODER_FPS
        stream = self._container.add_stream(self._encoder.name, rate=fps.limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = self._time_base
        context = stream.codec_context
        context.time_base = self._time_base
        context.thread_count = min(num_cores(), MAX_ENCODER_THREADS)
        context.options = self._encoder.options(preset, crf, live)
        context.colorspace, context.color_range = BT601, LIMITED_RANGE
        if info.pixel_aspect != 1:
            context.sample_aspect_ratio = info.pixel_aspect
        try:
            context.open()
        except self._av.error.FFmpegError as error:
            raise VideoError(f"{self._path}: {self._encoder.name} cannot write frames of "
                             f"{width}x{height}", got=error_reason(error),
                             hint="choose another --encoder, or scale the video down") from error
        return stream


def check_suffix(path: Path) -> None:
    """Check the suffix of an output video.

    Raises:
        VideoError: the suffix is not one of ``SUFFIXES``.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise VideoError(
            f"{path}: unsupported video format", got=f"'{path.suffix}'",
            expected=f"a name ending in {', '.join(SUFFIXES)}",
        )


class _as_video_error:
    """Convert errors of FFmpeg and the system to a `VideoError` with the file's name."""

    def __init__(self, av: Any, path: Path) -> None:
        self._caught = (av.error.FFmpegError, OSError)
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, exc_type: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, self._caught):
            raise VideoError(f"{self._path}: cannot be written", got=error_reason(error)) from error


def _count_frames(av: Any, path: Path) -> int:
    """Number of frames in a file, up to its end or the first damage."""
    count = 0
    try:
        with open_file(path, str(path)) as container:
            for packet in container.demux(video=0):
                count += packet.size > 0
    except (VideoError, av.error.FFmpegError, IndexError):
        pass
    return count


def _pad_to_even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _to_i420(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert to BT.601, limited range; three times as fast as swscale with the same colors."""
    import cv2

    planes: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    return planes
