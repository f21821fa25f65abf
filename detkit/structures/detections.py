"""Detections of one image, in pixels of that image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import MissingExtraError

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in one image, frozen and validated. N, the number found, may be 0.

    Args:
        boxes_xyxy: (N, 4) float32, left, top, right, bottom, in pixels of the image as it was
            given; left <= right and top <= bottom.
        scores: (N,) float32, from 0 to 1.
        labels: (N,) int64, index into the model's classes, from 0.
        size_hw: height and width in pixels of the image as it was given.

    Raises:
        ValueError: a shape, an order of corners, a score or a label breaks the above.
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
        """Nothing found in an image of ``size_hw`` (height, width) pixels."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64),
                   size_hw)

    def __eq__(self, other: object) -> bool:
        """Whether both have the same boxes, scores and labels in the same order and size."""
        if not isinstance(other, Detections):
            return NotImplemented
        return tuple(self.size_hw) == tuple(other.size_hw) and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("boxes_xyxy", "scores", "labels")
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: NDArray[Any]) -> Detections:
        """The detections that ``index``, a boolean mask (N,) or integer indices (M,), names."""
        return Detections(self.boxes_xyxy[index], self.scores[index], self.labels[index],
                          self.size_hw)

    def filter_by_score(self, threshold: float) -> Detections:
        """The detections whose score is at least ``threshold``; all of them at 0."""
        return self[self.scores >= threshold]

    def to_supervision(self) -> supervision.Detections:
        """The same boxes for supervision's drawing and tracking.

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
