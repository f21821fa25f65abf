"""Detections of one image, in pixels of that image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray

from detkit.errors import MissingExtraError

if TYPE_CHECKING:
    import supervision

Index = Union[int, np.integer[Any], slice, Sequence[int], Sequence[bool], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects that a detector found in one image; immutable and validated.

    Indexing, ``len`` and iteration work as those of ``supervision.Detections``::

        detections[detections.scores > 0.5]   # boolean mask (N,)
        detections[[2, 0]]                    # integer indices, in this order
        detections[:10]                       # slice
        detections[0]                         # integer: Detections of length 1
        for xyxy, mask, confidence, class_id, tracker_id, data in detections: ...

    Args:
        boxes_xyxy: (N, 4) float32, left, top, right, bottom, in pixels of the input image;
            left <= right and top <= bottom. N may be 0.
        scores: (N,) float32, from 0 to 1.
        labels: (N,) int64, indices into the model's classes, from 0.
        size_hw: height and width of the input image in pixels.

    Raises:
        ValueError: an array has another shape, a box has its corners in another order, or a
            value is out of range.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    size_hw: tuple[int, int]

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes_xyxy, dtype=np.float32)
        scores = np.asarray(self.scores, dtype=np.float32)
        labels = np.asarray(self.labels, dtype=np.int64)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"boxes_xyxy: got shape {boxes.shape}, expected (N, 4)")
        for name, array in (("scores", scores), ("labels", labels)):
            if array.shape != (len(boxes),):
                raise ValueError(f"{name}: got shape {array.shape}, expected ({len(boxes)},)")
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise ValueError("boxes_xyxy and scores: got nan or infinity, expected finite numbers")
        if (boxes[:, 2:] < boxes[:, :2]).any():
            raise ValueError("boxes_xyxy: got right < left or bottom < top, expected corners xyxy")
        if ((scores < 0) | (scores > 1)).any():
            raise ValueError("scores: got a value outside 0..1")
        if (labels < 0).any():
            raise ValueError("labels: got a negative label")
        if len(self.size_hw) != 2 or min(self.size_hw) < 1:
            raise ValueError(f"size_hw: got {self.size_hw}, expected (height, width), each > 0")
        for name, array in (("boxes_xyxy", boxes), ("scores", scores), ("labels", labels)):
            array = array.view()
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def empty(cls, size_hw: tuple[int, int]) -> Detections:
        """No detections, for an image of ``size_hw`` (height, width) pixels."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64),
                   size_hw)

    def __eq__(self, other: object) -> bool:
        """Whether both have the same boxes, scores and labels in the same order and image size."""
        if not isinstance(other, Detections):
            return NotImplemented
        return tuple(self.size_hw) == tuple(other.size_hw) and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("boxes_xyxy", "scores", "labels")
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: Index) -> Detections:
        """A subset of the detections.

        Args:
            index: a boolean mask (N,), integer indices (M,), a slice, or one integer, which gives
                Detections of length 1. Negative integers count from the end.

        Raises:
            IndexError: an index is out of range, a mask has another length, or the index is of
                another type.
        """
        if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
            index = [int(index)]
        if not isinstance(index, slice):
            index = np.asarray(index)
            if index.ndim != 1:
                raise IndexError(f"index: got {index!r}, expected a boolean mask (N,), integers, "
                                 "an integer or a slice")
            if not index.size and index.dtype != bool:
                index = index.astype(np.int64)  # an empty list becomes a float array
        return Detections(self.boxes_xyxy[index], self.scores[index], self.labels[index],
                          self.size_hw)

    def __iter__(self) -> Iterator[
        tuple[NDArray[np.float32], None, np.float32, np.int64, None, dict[str, Any]]
    ]:
        """One tuple per detection: (xyxy, mask, confidence, class_id, tracker_id, data).

        The order is that of ``supervision.Detections``; mask and tracker_id are None, data is
        empty.
        """
        for box, score, label in zip(self.boxes_xyxy, self.scores, self.labels):
            yield box, None, score, label, None, {}

    def filter_by_score(self, threshold: float) -> Detections:
        """The detections with a score of at least ``threshold``."""
        return self[self.scores >= threshold]

    def to_supervision(self) -> supervision.Detections:
        """The same boxes, scores and labels as ``supervision.Detections``.

        Raises:
            MissingExtraError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise MissingExtraError("supervision", "video") from error
        return supervision.Detections(
            xyxy=np.array(self.boxes_xyxy),
            confidence=np.array(self.scores),
            class_id=np.array(self.labels),
        )
