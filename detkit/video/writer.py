"""Frames into an h264 file that browsers play."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import MissingExtraError, VideoError
from detkit.video.frame import Frame, VideoInfo

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
# An mp4's tick is 1/n of a second with n in 32 bits; finer clocks (nanoseconds) are rounded.
FINEST_TICKS_PER_SECOND = 1_000_000
BT601 = 6
LIMITED_RANGE = 1


class VideoWriter:
    """Writes frames with their own times as h264, yuv420p, the index at the file's head.

    Sides of odd length get one more row or column, a copy of the last, since yuv420p halves
    them. `close` must be called, also after a failure: only then can the file be played.

    Args:
        path: the file; written over when it exists. Its suffix is one of ``SUFFIXES``.
        info: of the video that the frames come from.
        preset, crf: x264's speed and quality.

    Attributes:
        count: the frames that lie in the file; all that were added, once it is closed.

    Raises:
        VideoError: another suffix, or the file cannot be written.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(
        self, path: Path, info: VideoInfo, preset: str = "veryfast", crf: int = 23
    ) -> None:
        try:
            import av
        except ImportError as error:
            raise MissingExtraError("av", "video") from error
        check_suffix(path)
        self._av: Any = av
        self._path = path
        self._size_hw = info.size_hw
        self._source_base = info.time_base
        finest = Fraction(1, FINEST_TICKS_PER_SECOND)
        self._time_base = info.time_base if info.time_base >= finest else Fraction(1, 90_000)
        self._last_pts = -1
        self.count = 0
        index_first = {"movflags": "+faststart"} if path.suffix.lower() != ".mkv" else {}
        with _as_video_error(av, path):
            self._container: Any = av.open(str(path), "w", options=index_first)
        try:
            with _as_video_error(av, path):
                self._stream = self._add_stream(info, preset, crf)
        except BaseException:
            self._container.close()
            raise

    def add(self, frame: Frame) -> None:
        """Encode one frame; frames come in the order of their times.

        Raises:
            VideoError: the picture's size differs, or the file cannot be written (disk full).
        """
        if frame.image.shape != (*self._size_hw, 3) or frame.image.dtype != np.uint8:
            raise VideoError(
                f"frame {frame.index}: the picture to write",
                got=f"shape {frame.image.shape}, {frame.image.dtype}",
                expected=f"shape {(*self._size_hw, 3)}, uint8",
            )
        picture = self._av.VideoFrame.from_ndarray(_to_i420(_even(frame.image)), "yuv420p")
        picture.time_base = self._time_base
        picture.pts = self._last_pts = max(self._rescale(frame.pts), self._last_pts + 1)
        if hasattr(picture, "duration") and frame.duration:
            picture.duration = self._rescale(frame.duration)
        picture.colorspace, picture.color_range = BT601, LIMITED_RANGE
        with _as_video_error(self._av, self._path):
            self._mux(self._stream.encode(picture))

    def close(self) -> None:
        """Write what the encoder still holds, then the index; may be called twice.

        Raises:
            VideoError: the file cannot be completed, and cannot be played.
        """
        if self._container is None:
            return
        container = self._container
        with _as_video_error(self._av, self._path):
            try:
                if self._last_pts >= 0:
                    self._mux(self._stream.encode(None))
            finally:
                self._container = None
                container.close()

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:  # h264: one for each frame
            self._container.mux(packet)
            self.count += 1

    def _rescale(self, ticks: int) -> int:
        return round(ticks * self._source_base / self._time_base)

    def _add_stream(self, info: VideoInfo, preset: str, crf: int) -> Any:
        height, width = (side + side % 2 for side in info.size_hw)
        # x264 plans its bits by the rate; times come from the frames.
        rate = info.rate.limit_denominator(1001)
        stream = self._container.add_stream("libx264", rate=rate if rate > 0 else 25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = self._time_base
        context = stream.codec_context
        context.time_base = self._time_base
        context.options = {"preset": preset, "crf": str(crf)}
        context.colorspace, context.color_range = BT601, LIMITED_RANGE
        if info.pixel_aspect != 1:
            context.sample_aspect_ratio = info.pixel_aspect
        return stream


def check_suffix(path: Path) -> None:
    """Refuse what cannot hold h264 here.

    Raises:
        VideoError: the suffix is not one of ``SUFFIXES``.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise VideoError(
            f"{path}: the kind of video to write", got=f"'{path.suffix}'",
            expected=f"a name ending in {', '.join(SUFFIXES)}",
        )


class _as_video_error:
    """Turn FFmpeg's and the system's errors into one that names the file."""

    def __init__(self, av: Any, path: Path) -> None:
        self._caught = (av.error.FFmpegError, OSError)
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, self._caught):
            cause = getattr(error, "strerror", None) or str(error)
            raise VideoError(f"{self._path}: cannot be written", got=cause) from error


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _to_i420(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BT.601, limited range: three times as quick here as swscale's way to the same colours."""
    import cv2

    planes: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    return planes
