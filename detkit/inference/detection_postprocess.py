"""From a detector's raw outputs to ``Detections``."""

from __future__ import annotations

from typing import Any

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
    """Check a model's outputs, clip the boxes to the image, and sort by score, highest first.

    Args:
        boxes: (N, 4) float32, xyxy, pixels of the image.
        scores: (N,) float32.
        labels: (N,) int64.
        size_hw: height and width of the image.
        num_classes: number of classes; labels are below it.

    Raises:
        WeightsError: nan or infinity, or a label outside 0..num_classes - 1.
    """
    check_finite("boxes or scores", boxes, scores)
    invalid = labels[(labels < 0) | (labels >= num_classes)]
    if len(invalid):
        raise WeightsError("the model's labels do not match the checkpoint's class names",
                           got=f"label {invalid[0]}", expected=f"0..{num_classes - 1}")
    height, width = size_hw
    boxes = np.array(boxes, np.float32)
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes[order], scores[order].clip(0, 1), labels[order], size_hw)


def check_finite(name: str, *outputs: NDArray[Any]) -> None:
    """Raise WeightsError if any of a model's outputs has nan or infinity."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise WeightsError(
            f"the model's {name} are not finite numbers",
            hint="train again with a lower learning rate, or use an earlier checkpoint",
        )
