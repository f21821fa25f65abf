"""Smooths the predictions of a classifier over the last frames of a video."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detkit.structures.classifications import Classifications


@dataclass(frozen=True)
class FrameScores:
    """The prediction for a frame, and the smoothed prediction at this frame."""

    raw: Classifications
    smoothed: Classifications


class ScoreWindow:
    """Averages the probabilities of the last ``size`` frames, including the newest.

    The first frames average over fewer.

    Args:
        size: number of frames; 1 for no smoothing.

    Raises:
        ValueError: the size is below 1.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"size: got {size}, expected at least 1")
        self._last: deque[NDArray[np.float32]] = deque(maxlen=size)

    def add(self, scores: Classifications) -> FrameScores:
        """Add the prediction of the next frame and smooth it."""
        self._last.append(scores.probabilities)
        mean: NDArray[np.float64] = np.stack(self._last).mean(axis=0, dtype=np.float64)
        return FrameScores(scores, Classifications(mean.astype(np.float32), scores.size_hw))
