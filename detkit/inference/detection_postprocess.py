"""What a detector's numbers must be before they are ``Detections``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detkit.errors import WeightsError
from detkit.structures.detections import Detections


def postprocess_detections(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    size_hw: tuple[int, int],
    num_classes: int,
) -> Detections:
    """What a model found, checked, clipped to its picture, highest score first.

    Args:
        boxes: (N, 4) float32, xyxy, pixels of the picture.
        scores: (N,) float32.
        labels: (N,) int64.
        size_hw: height and width of the picture.
        num_classes: labels are below it.

    Raises:
        WeightsError: nan or infinity, or a label that is none of the classes.
    """
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise WeightsError(
            "the model's boxes or scores are not finite numbers",
            hint="train again with a lower learning rate, or use an earlier checkpoint",
        )
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if len(wrong):
        raise WeightsError("the model's labels do not fit the classes that the checkpoint names",
                           got=f"label {wrong[0]}", expected=f"0..{num_classes - 1}")
    height, width = size_hw
    boxes = np.array(boxes, np.float32)
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes[order], scores[order].clip(0, 1), labels[order], size_hw)
