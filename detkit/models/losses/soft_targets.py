"""Targets of a classifier, labels or class probabilities, checked and converted to probabilities.

Legend: B images in the batch, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from detkit.errors import DataError

Targets = Tensor


def to_soft_targets(targets: Targets, logits: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Convert targets to the expected probability of each class for each image.

    Args:
        targets: labels (B,) integer, or probabilities (B, K) float, rows summing to 1. B may be 0.
        logits: (B, K), for K and the dtype.
        label_smoothing: fraction spread evenly over all classes, in [0, 1].

    Returns:
        (B, K) of the logits' dtype, each row summing to 1.

    Raises:
        DataError: labels outside 0..K-1 (checked on the CPU only), or targets of another shape.
    """
    num_classes = logits.shape[1]
    if targets.ndim == 1 and not targets.is_floating_point() and len(targets) == len(logits):
        check_labels(targets, num_classes)
        soft_targets = torch.zeros_like(logits).scatter_(1, targets[:, None].long(), 1.0)
    elif targets.shape == logits.shape and targets.is_floating_point():
        soft_targets = targets.to(logits.dtype)
    else:
        raise DataError(
            "the targets of a classifier", got=f"{tuple(targets.shape)} {targets.dtype}",
            expected=f"labels ({len(logits)},) or probabilities ({len(logits)}, {num_classes})",
        )
    if label_smoothing:
        soft_targets = soft_targets * (1 - label_smoothing) + label_smoothing / num_classes
    return soft_targets


def check_labels(labels: Tensor, num_classes: int, names: Sequence[str] | None = None) -> None:
    """Check the range of labels on the CPU; labels on a GPU are not checked, to avoid a sync.

    Args:
        labels: (B,) integer.
        num_classes: K.
        names: of the images, for the message.

    Raises:
        DataError: a label outside 0..K-1; the message names the first image.
    """
    if labels.device.type != "cpu" or not len(labels):
        return
    invalid = ((labels < 0) | (labels >= num_classes)).nonzero()
    if len(invalid):
        first = int(invalid[0])
        name_suffix = f" of {names[first]}" if names and names[first] else ""
        raise DataError(
            f"label{name_suffix}", got=int(labels[first]),
            expected=f"0..{num_classes - 1}: the model has {num_classes} classes",
            hint="set model.head.num_classes to the number of classes in the data; --data does so",
        )
