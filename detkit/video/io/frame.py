"""A video frame with its timestamp, and the properties of a video."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Args:
        index: 0, 1, 2, ... in display order.
        image: (H, W, 3) uint8 RGB, upright.
        pts: presentation timestamp in ticks of the video's ``time_base``; 0 for the first frame.
        duration: in the same ticks; 0 if unknown.
        read_at: time at which reading began, in seconds of ``time.perf_counter``; 0 if unknown.
        decode_seconds: time of reading, decoding and conversion to RGB, without waiting for a
            camera.
    """

    index: int
    image: NDArray[np.uint8]
    pts: int
    duration: int
    read_at: float = 0.0
    decode_seconds: float = 0.0


@dataclass(frozen=True)
class VideoInfo:
    """The properties of a video.

    Args:
        size_hw: height and width of its upright images, in pixels.
        time_base: seconds per tick.
        fps: average frame rate.
        frame_count: number of frames declared by the file, which may be wrong; None if it
            declares none.
        pixel_aspect: width divided by height of a pixel; usually 1.
        has_audio: whether there is an audio stream.
    """

    size_hw: tuple[int, int]
    time_base: Fraction
    fps: Fraction
    frame_count: int | None
    pixel_aspect: Fraction
    has_audio: bool
