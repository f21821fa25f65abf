"""COCO evaluation that also ignores Pascal VOC's difficult objects."""

from __future__ import annotations

from typing import Any

from pycocotools.cocoeval import COCOeval


class DifficultCOCOeval(COCOeval):  # type: ignore[misc]
    """COCOeval that matches ignored objects with ``difficult`` 1 by IoU.

    Crowd regions and difficult objects are both ignored, with any number of matches. The overlap
    with a crowd region is intersection over the detection's area; with a difficult object, which
    is a single object, it is IoU. Without difficult objects the numbers are those of COCOeval.

    Source: Pascal VOC development kit, VOCevaldet.m: a detection that overlaps most with a
    difficult object counts neither for nor against.
    """

    _gts: dict[tuple[Any, Any], list[dict[str, Any]]]

    def computeIoU(self, imgId: Any, catId: Any) -> Any:
        """The overlaps of one image and category, in pycocotools' format."""
        ground_truths = self._gts
        self._gts = {(imgId, catId): [
            {**ground_truth, "iscrowd": 0} if ground_truth.get("difficult") else ground_truth
            for ground_truth in ground_truths[imgId, catId]]}
        try:
            return super().computeIoU(imgId, catId)
        finally:
            self._gts = ground_truths
