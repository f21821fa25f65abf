"""Focal loss over a softmax, for single-label classification."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detkit.models.losses.class_weights import check_class_weight, check_weight_count
from detkit.models.losses.soft_cross_entropy_loss import check_loss_args, mean_over_images
from detkit.models.losses.soft_targets import to_soft_targets
from detkit.models.validation import check_number
from detkit.registry import MODELS

# Lower bound of 1 - p: the derivative of a power below 1 is infinite at 0.
_MIN_COMPLEMENT = 1e-12


@MODELS.register_module()
class SoftmaxFocalLoss(nn.Module):
    """Cross-entropy with terms scaled by (1 - p)**gamma, p the probability of the class.

    Not mmdet's ``FocalLoss``, which applies a sigmoid to each class.

    Args:
        gamma: >= 0; 0 is cross-entropy.
        class_weight: factor on the terms of each class, the paper's alpha. None means 1.
        label_smoothing: as in ``SoftCrossEntropyLoss``.
        loss_weight: factor on the loss.

    The mean is over the images, not over their weights.

    Raises:
        ConfigError: an invalid number.

    Source: arXiv 1708.02002, eq. 4 and 5, over a softmax.
    """

    class_weight: Tensor | None

    def __init__(
        self,
        gamma: float = 2.0,
        class_weight: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        check_number(type(self).__name__, "gamma", gamma, 0)
        self.gamma = float(gamma)
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
        log_p = F.log_softmax(logits, 1).masked_fill(soft_targets == 0, 0)
        # 1 - p, without cancellation near p = 1.
        complement = (-torch.expm1(log_p)).clamp(min=_MIN_COMPLEMENT)
        terms = soft_targets * complement.pow(self.gamma) * log_p
        return self.loss_weight * mean_over_images(-terms, self.class_weight)
