"""A classifier's label over the frames of a video, smoothed over the last few."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detkit.structures.classifications import Classifications


@dataclass(frozen=True)
class FrameScores:
    """What a classifier says of one frame, and of the frames up to it."""

    raw: Classifications
    smoothed: Classifications


class ScoreWindow:
    """Means the probabilities of the last ``size`` frames, the newest included.

    A frame's smoothed scores hang on no later frame; the first frames use what there is.

    Args:
        size: frames; at least 1, which smooths nothing.

    Raises:
        ValueError: the size is below 1.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"size: got {size}, expected at least 1")
        self._last: deque[NDArray[np.float32]] = deque(maxlen=size)

    def add(self, scores: Classifications) -> FrameScores:
        """The scores of the next frame, with the mean over the window that ends with it."""
        self._last.append(scores.probabilities)
        mean: NDArray[np.float64] = np.stack(self._last).mean(axis=0, dtype=np.float64)
        return FrameScores(scores, Classifications(mean.astype(np.float32), scores.size_hw))
