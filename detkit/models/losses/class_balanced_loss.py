"""A loss that gives rare classes about the same total weight as frequent ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.models.build import build_module
from detkit.models.losses.class_weights import effective_number_weights
from detkit.registry import MODELS


@MODELS.register_module()
class ClassBalancedLoss(nn.Module):
    """Wrap a loss with class weights from the effective number of training images.

    Args:
        beta: in [0, 1), 0 for equal weights; see ``effective_number_weights``.
        class_counts: number of training images of each class. None: filled in from the training
            data where they are known; needed for training only.
        loss: config of the wrapped loss, which must take ``class_weight``.

    Raises:
        ConfigError: invalid counts or beta; ``loss`` has ``class_weight`` already.

    Source: arXiv 1901.05555.
    """

    def __init__(
        self,
        beta: float = 0.999,
        class_counts: Sequence[int] | None = None,
        loss: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        loss_cfg: Any = loss or {"type": "SoftCrossEntropyLoss"}
        if isinstance(loss_cfg, Mapping) and loss_cfg.get("class_weight") is not None:
            raise ConfigError("ClassBalancedLoss: loss.class_weight", got=loss_cfg["class_weight"],
                              expected="none: the weights come from class_counts")
        self.has_class_counts = class_counts is not None
        # Computed without counts too, so that an invalid beta raises when the model is built.
        weights = effective_number_weights((1,) if class_counts is None else class_counts, beta)
        if isinstance(loss_cfg, Mapping):
            loss_cfg = {**loss_cfg, "class_weight": weights if self.has_class_counts else None}
        try:
            self.loss = build_module("ClassBalancedLoss: loss", loss_cfg, "SoftCrossEntropyLoss")
        except TypeError as error:
            raise ConfigError("ClassBalancedLoss: loss", got=loss_cfg["type"],
                              expected="one that takes class_weight, such as SoftCrossEntropyLoss "
                              "or SoftmaxFocalLoss") from error

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the mean loss of a batch.

        Args:
            logits: (B, K). B may be 0: the loss is 0.
            targets: labels (B,) integer, or class probabilities (B, K) float.

        Returns:
            0-d, >= 0.

        Raises:
            ConfigError: no ``class_counts``, or not K of them.
            DataError: targets of another shape, or labels outside 0..K-1.
        """
        if not self.has_class_counts:
            raise ConfigError(
                "ClassBalancedLoss: class_counts are not known",
                expected="the number of training images of each class",
                hint="train with --data, which counts them, or set class_counts in the config",
            )
        loss: Tensor = self.loss(logits, targets)
        return loss
