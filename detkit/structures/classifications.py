"""Class probabilities of one image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import MissingExtraError

if TYPE_CHECKING:
    import supervision

# Tolerance of the sum of float32 probabilities; a softmax in half precision is within it.
SUM_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class Classifications:
    """The probability of each class for one image; immutable and validated.

    It is a sequence of K probabilities, indexed by label: ``scores[label]`` is the probability of
    a class, ``scores[mask]``, ``scores[labels]`` and ``scores[:3]`` are arrays of them. Subsets
    are arrays because their sum is not 1. ``to_supervision`` gives labels and probabilities as
    ``supervision.Classifications``.

    Args:
        probabilities: (K,) float32, each from 0 to 1, with a sum of 1; K, the number of the
            model's classes, is at least 1.
        size_hw: height and width of the input image in pixels.

    Raises:
        ValueError: the array has another shape or sum, or a value is out of range.
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
            k: number of classes; all K if larger.

        Returns:
            labels (k,) int64 and their probabilities (k,) float32. Of equal probabilities the
            lower label is first.

        Raises:
            ValueError: ``k`` is below 1.
        """
        if k < 1:
            raise ValueError(f"k: got {k}, expected at least 1")
        labels = np.argsort(-self.probabilities, kind="stable")[:k].astype(np.int64)
        return labels, self.probabilities[labels]

    @property
    def label(self) -> int:
        """The most probable class; of equal probabilities the lowest label."""
        return int(self.probabilities.argmax())

    @property
    def score(self) -> float:
        """The probability of ``label``."""
        return float(self.probabilities.max())

    def __eq__(self, other: object) -> bool:
        """Whether both have the same probabilities and image size."""
        if not isinstance(other, Classifications):
            return NotImplemented
        return tuple(self.size_hw) == tuple(other.size_hw) and np.array_equal(
            self.probabilities, other.probabilities)

    def __len__(self) -> int:
        """The number of classes."""
        return len(self.probabilities)

    def __getitem__(self, label: Any) -> Any:
        """The probability of a class, or of several as an array; any index of NumPy's.

        Raises:
            IndexError: a label is out of range.
        """
        return self.probabilities[label]

    def __iter__(self) -> Iterator[np.float32]:
        """The probabilities in the order of the labels."""
        return iter(self.probabilities)

    def to_supervision(self) -> supervision.Classifications:
        """All labels and their probabilities as ``supervision.Classifications``.

        Raises:
            MissingExtraError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise MissingExtraError("supervision", "video") from error
        return supervision.Classifications(
            class_id=np.arange(len(self)), confidence=np.array(self.probabilities))
