"""Choose among the detections of an image: classes, duplicates over classes, their number."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from detkit.structures.detections import Detections


def select_detections(
    detections: Detections, labels: Collection[int] | None = None,
    agnostic_iou: float | None = None, max_num: int | None = None,
) -> Detections:
    """Leave detections out; those that stay keep their order.

    Args:
        detections: of one image.
        labels: keep these; None keeps all.
        agnostic_iou: of two detections whose IoU is above it, whatever their classes, keep that of
            the higher score; None keeps both.
        max_num: keep so many of the highest scores; None keeps all.

    Source: NMS as in torchvision.ops.nms.
    """
    if labels is not None:
        detections = detections[np.isin(detections.labels, list(labels))]
    if agnostic_iou is not None and len(detections):
        import torch
        from torchvision.ops import nms

        kept = nms(torch.tensor(detections.boxes_xyxy), torch.tensor(detections.scores),
                   agnostic_iou)
        detections = detections[np.sort(kept.numpy())]
    if max_num is not None and len(detections) > max_num:
        best = np.argsort(-detections.scores, kind="stable")[:max_num]
        detections = detections[np.sort(best)]
    return detections
