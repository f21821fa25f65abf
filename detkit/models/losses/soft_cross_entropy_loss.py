"""Cross-entropy with labels or class probabilities as targets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detkit.models.losses.class_weights import check_class_weight, check_weight_count
from detkit.models.losses.soft_targets import to_soft_targets
from detkit.models.validation import check_number
from detkit.registry import MODELS


@MODELS.register_module()
class SoftCrossEntropyLoss(nn.Module):
    """Cross-entropy with optional label smoothing and class weights.

    Args:
        label_smoothing: fraction of each target spread evenly over all classes, in [0, 1]
            (arXiv 1512.00567, section 7).
        class_weight: factor on the terms of each class. None means 1.
        loss_weight: factor on the loss.

    The mean is over the images, not over their weights, so that a label and its one-hot
    vector give the same loss. torch does so for probabilities; for labels it divides by the sum
    of the weights, which cancels the weights in a batch of one class.

    Raises:
        ConfigError: an invalid number.

    Source: agrees with torch's cross_entropy, for labels with reduction='sum' over B.
    """

    class_weight: Tensor | None

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.label_smoothing, self.loss_weight = check_loss_args(
            type(self).__name__, label_smoothing, loss_weight
        )
        weights = check_class_weight(type(self).__name__, class_weight)
        self.register_buffer("class_weight", weights, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the mean loss of a batch, in float32 at least.

        Args:
            logits: (B, K). B may be 0: the loss is 0. A logit may be -inf where the target is 0.
            targets: labels (B,) integer, or class probabilities (B, K) float.

        Returns:
            0-d, >= 0.

        Raises:
            ConfigError: not K entries in ``class_weight``.
            DataError: targets of another shape, or labels outside 0..K-1.
        """
        check_weight_count(type(self).__name__, self.class_weight, logits.shape[1])
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        soft_targets = to_soft_targets(targets, logits, self.label_smoothing)
        # A target of 0 contributes no loss; 0 * -inf would be nan.
        terms = soft_targets * F.log_softmax(logits, 1).masked_fill(soft_targets == 0, 0)
        return self.loss_weight * mean_over_images(-terms, self.class_weight)


def mean_over_images(terms: Tensor, class_weight: Tensor | None) -> Tensor:
    """Weighted sum over classes, averaged over images: (B, K) -> 0-d; 0 for an empty batch."""
    if class_weight is not None:
        terms = terms * class_weight.to(terms.dtype)
    return terms.sum() / max(len(terms), 1)


def check_loss_args(
    owner: str, label_smoothing: float, loss_weight: float
) -> tuple[float, float]:
    """Return both as floats.

    Raises:
        ConfigError: a smoothing outside [0, 1], or a weight that is not a number.
    """
    check_number(owner, "label_smoothing", label_smoothing, 0, 1)
    check_number(owner, "loss_weight", loss_weight)
    return float(label_smoothing), float(loss_weight)
