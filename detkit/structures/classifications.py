"""What a classifier says of one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Of a sum of float32 probabilities, however many; a softmax in half precision comes as near.
SUM_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class Classifications:
    """The probability of each class for one picture, frozen and validated.

    Args:
        probabilities: (K,) float32, each from 0 to 1, summing to 1; index: the model's classes.
            K is at least 1.
        size_hw: height and width in pixels of the picture as it was given.

    Raises:
        ValueError: the shape, a number, the sum or the size breaks the above.
    """

    probabilities: NDArray[np.float32]
    size_hw: tuple[int, int]

    def __post_init__(self) -> None:
        array = np.array(self.probabilities, dtype=np.float32)
        if array.ndim != 1 or not len(array):
            raise ValueError(f"probabilities: got shape {array.shape}, expected (K,) with K > 0")
        if not np.isfinite(array).all():
            raise ValueError("probabilities: got nan or infinity, expected finite numbers")
        if ((array < 0) | (array > 1)).any():
            raise ValueError("probabilities: got a value outside 0..1")
        total = float(array.sum(dtype=np.float64))
        if abs(total - 1) > SUM_TOLERANCE:
            raise ValueError(f"probabilities: got a sum of {total:.4g}, expected 1")
        if len(self.size_hw) != 2 or min(self.size_hw) < 1:
            raise ValueError(f"size_hw: got {self.size_hw}, expected (height, width), each > 0")
        array.flags.writeable = False
        object.__setattr__(self, "probabilities", array)

    def top(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The ``k`` most probable classes, the most probable first.

        Args:
            k: how many; all K when it is larger.

        Returns:
            labels (k,) int64 and their probabilities (k,) float32. Of equal ones the lower label
            comes first.

        Raises:
            ValueError: ``k`` is below 1.
        """
        if k < 1:
            raise ValueError(f"k: got {k}, expected at least 1")
        labels = np.argsort(-self.probabilities, kind="stable")[:k].astype(np.int64)
        return labels, self.probabilities[labels]

    @property
    def label(self) -> int:
        """The most probable class; the lowest of equal ones."""
        return int(self.probabilities.argmax())

    @property
    def score(self) -> float:
        """The probability of ``label``."""
        return float(self.probabilities.max())

    def __eq__(self, other: object) -> bool:
        """Whether both have the same probabilities and size."""
        if not isinstance(other, Classifications):
            return NotImplemented
        return tuple(self.size_hw) == tuple(other.size_hw) and np.array_equal(
            self.probabilities, other.probabilities)

    def __len__(self) -> int:
        """How many classes there are."""
        return len(self.probabilities)
