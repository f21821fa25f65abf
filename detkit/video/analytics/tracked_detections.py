"""Detections of a frame with their track ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detkit.structures.detections import Detections

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True, eq=False)
class TrackedDetections:
    """The output of a tracker for a frame; immutable and validated. N may be 0.

    Args:
        detections: N detections.
        ids: (N,) int64, the track id of each detection; -1 for no track yet. Other ids are
            unique within a frame.

    Raises:
        ValueError: the shape of ``ids`` is wrong, or an id is invalid or repeated.
    """

    detections: Detections
    ids: NDArray[np.int64]

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids, dtype=np.int64).view()
        if ids.shape != (len(self.detections),):
            raise ValueError(f"ids: got shape {ids.shape}, expected ({len(self.detections)},)")
        if (ids < -1).any():
            raise ValueError(f"ids: got {ids.min()}, expected at least -1")
        assigned = ids[ids >= 0]
        if len(np.unique(assigned)) != len(assigned):
            raise ValueError(f"ids: got {ids.tolist()}, expected unique ids")
        ids.flags.writeable = False
        object.__setattr__(self, "ids", ids)

    @classmethod
    def empty(cls, size_hw: tuple[int, int]) -> TrackedDetections:
        """No detections, in a frame of ``size_hw`` (height, width) pixels."""
        return cls(Detections.empty(size_hw), np.zeros(0, np.int64))

    def __eq__(self, other: object) -> bool:
        """Whether both have equal detections and ids, in the same order."""
        if not isinstance(other, TrackedDetections):
            return NotImplemented
        return self.detections == other.detections and np.array_equal(self.ids, other.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def to_supervision(self) -> supervision.Detections:
        """Convert to supervision, with the ids as ``tracker_id``.

        Raises:
            MissingExtraError: supervision is not installed.
        """
        detections = self.detections.to_supervision()
        detections.tracker_id = np.array(self.ids)
        return detections
