"""What a classifier is to say of each picture: labels or shares, checked and as shares.

Legend: B pictures in the batch, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from detkit.errors import DataError

Targets = Tensor


def shares_of(targets: Targets, logits: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The share of each class in what is expected of each picture.

    Args:
        targets: labels (B,) integer, or shares (B, K) float, each row summing to 1. B may be 0.
        logits: (B, K), for K and the dtype.
        label_smoothing: taken off and spread evenly over all classes, from 0 to 1.

    Returns:
        (B, K) of the logits' dtype, each row summing to 1.

    Raises:
        DataError: labels outside 0..K-1 that lie on a CPU, or targets of another shape.
    """
    classes = logits.shape[1]
    if targets.ndim == 1 and not targets.is_floating_point() and len(targets) == len(logits):
        check_labels(targets, classes)
        shares = torch.zeros_like(logits).scatter_(1, targets[:, None].long(), 1.0)
    elif targets.shape == logits.shape and targets.is_floating_point():
        shares = targets.to(logits.dtype)
    else:
        raise DataError(
            "the targets of a classifier", got=f"{tuple(targets.shape)} {targets.dtype}",
            expected=f"labels ({len(logits)},) or shares ({len(logits)}, {classes})",
        )
    if label_smoothing:
        shares = shares * (1 - label_smoothing) + label_smoothing / classes
    return shares


def check_labels(labels: Tensor, classes: int, names: Sequence[str] | None = None) -> None:
    """Look whether each label is that of a class. On a GPU nothing is looked at: it would wait.

    Args:
        labels: (B,) integer.
        classes: K.
        names: of the pictures, for the message.

    Raises:
        DataError: a label outside 0..K-1, the first by the name of its picture.
    """
    if labels.device.type != "cpu" or not len(labels):
        return
    wrong = ((labels < 0) | (labels >= classes)).nonzero()
    if len(wrong):
        first = int(wrong[0])
        where = f" of {names[first]}" if names and names[first] else ""
        raise DataError(
            f"label{where}", got=int(labels[first]),
            expected=f"0..{classes - 1}, for the model has {classes} classes",
            do="let model.head.num_classes be the number of the data's classes; with --data it is",
        )
