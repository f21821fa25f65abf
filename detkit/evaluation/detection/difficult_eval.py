"""COCO's evaluation with Pascal VOC's difficult objects beside COCO's crowd regions."""

from __future__ import annotations

from typing import Any

from pycocotools.cocoeval import COCOeval


class DifficultCOCOeval(COCOeval):  # type: ignore[misc]
    """COCOeval that matches ignored objects with ``difficult`` 1 by their IoU.

    Both are ignored, however many detections match them. But a crowd region takes whatever lies
    inside it, a detection's share of itself counting, where a difficult object is one thing, which
    a detection has to fit. Without such objects the numbers are COCOeval's.

    Source: Pascal VOC development kit, VOCevaldet.m: a detection that overlaps most with a
    difficult object counts neither for nor against.
    """

    _gts: dict[tuple[Any, Any], list[dict[str, Any]]]

    def computeIoU(self, imgId: Any, catId: Any) -> Any:
        """The overlaps of one image and category, as pycocotools gives them."""
        ground_truths = self._gts
        self._gts = {(imgId, catId): [
            {**ground_truth, "iscrowd": 0} if ground_truth.get("difficult") else ground_truth
            for ground_truth in ground_truths[imgId, catId]]}
        try:
            return super().computeIoU(imgId, catId)
        finally:
            self._gts = ground_truths
