"""What flows through the video stages: pictures with their place in time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Args:
        index: 0, 1, 2, ... in the order of display.
        image: (H, W, 3) uint8 RGB, upright.
        pts: when it is shown, in ticks of the video's ``time_base``, from 0 for the first.
        duration: for how long, in the same ticks; 0 when the file does not say.
        read_at: when its reading began, in seconds of ``time.perf_counter``; 0 when not known.
        decode_seconds: what reading, decoding and the way to RGB took, without any waiting for
            a camera.
    """

    index: int
    image: NDArray[np.uint8]
    pts: int
    duration: int
    read_at: float = 0.0
    decode_seconds: float = 0.0


@dataclass(frozen=True)
class VideoInfo:
    """What a video says of itself.

    Args:
        size_hw: height and width of its upright pictures, in pixels.
        time_base: the seconds of one tick.
        fps: frames per second on average.
        frame_count: as the file declares it; None when it does not. Not always true.
        pixel_aspect: width by height of one pixel; 1 nearly always.
        has_audio: whether there is an audio stream beside.
    """

    size_hw: tuple[int, int]
    time_base: Fraction
    fps: Fraction
    frame_count: int | None
    pixel_aspect: Fraction
    has_audio: bool
