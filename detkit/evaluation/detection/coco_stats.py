"""The results of a COCO box evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detkit.evaluation.score_values import nan_to_none

STATS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


@dataclass(frozen=True)
class PerClassAP:
    """The scores of one class of `CocoStats`.

    Args:
        name: name of the class.
        AP: average precision over IoU 0.50 to 0.95; nan where the class has no ground truth.
        AP50: average precision at IoU 0.50, likewise.
        ground_truths: number of ground-truth boxes, without crowd regions.
    """

    name: str
    AP: float
    AP50: float
    ground_truths: int


@dataclass(frozen=True)
class CocoStats:
    """COCO box scores, each from 0 to 1, unrounded; nan where there is nothing to measure.

    Args:
        AP: average precision, mean over IoU 0.50 to 0.95 in steps of 0.05 and over the classes.
        AP50: AP at IoU 0.50.
        AP75: AP at IoU 0.75.
        APs: AP of objects with an area below 32 x 32 pixels.
        APm: AP of objects from 32 x 32 to 96 x 96 pixels.
        APl: AP of objects above 96 x 96 pixels.
        AR1: average recall with the best detection of each class and image.
        AR10: average recall with the ten best detections.
        AR100: average recall with the hundred best detections, as used for AP.
        ARs: AR100 of small objects.
        ARm: AR100 of medium objects.
        ARl: AR100 of large objects.
        per_class: scores of each class, in the order of category ids.
        images: number of images.
        ground_truths: number of ground-truth boxes, crowd regions included.
        crowds: number of crowd regions, which are not counted as missed.
        detections: number of detections.
        notes: sentences on missing or corrected values in the ground truth.
        hints: sentences on shifted ids or other conventions in the results, if requested.
    """

    AP: float
    AP50: float
    AP75: float
    APs: float
    APm: float
    APl: float
    AR1: float
    AR10: float
    AR100: float
    ARs: float
    ARm: float
    ARl: float
    per_class: tuple[PerClassAP, ...]
    images: int
    ground_truths: int
    crowds: int
    detections: int
    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()

    @property
    def stats(self) -> tuple[float, ...]:
        """The twelve numbers in COCO's order."""
        return tuple(getattr(self, name) for name in STATS)

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; None where there is nothing to measure."""
        return {
            **{name: nan_to_none(value) for name, value in zip(STATS, self.stats)},
            "images": self.images,
            "truths": self.ground_truths,
            "crowds": self.crowds,
            "detections": self.detections,
            "classes": {
                item.name: {"AP": nan_to_none(item.AP), "AP50": nan_to_none(item.AP50),
                            "truths": item.ground_truths}
                for item in self.per_class
            },
            "notes": list(self.notes),
            "hints": list(self.hints),
        }
