"""Losses of classifiers."""

from detkit.models.losses.class_balanced_loss import ClassBalancedLoss
from detkit.models.losses.soft_cross_entropy_loss import SoftCrossEntropyLoss
from detkit.models.losses.softmax_focal_loss import SoftmaxFocalLoss

__all__ = ["ClassBalancedLoss", "SoftCrossEntropyLoss", "SoftmaxFocalLoss"]
