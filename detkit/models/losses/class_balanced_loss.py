"""A loss in which rare classes count as much as frequent ones, or nearly."""

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
    """Another loss with each class weighed by the effective number of its training pictures.

    Args:
        beta: from 0, all classes alike, to below 1; see ``effective_number_weights``.
        class_counts: training pictures of each class; counted where it is None and the training
            data are known. A model that does not train may do without.
        loss: the loss that is weighed, one that takes ``class_weight``.

    Raises:
        ConfigError: counts or a beta that cannot be; ``loss`` has weights of its own.

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
        # Without counts too, so that a wrong beta comes out where the model is built.
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
        """The mean loss of a batch.

        Args:
            logits: (B, K). B may be 0: the loss is 0.
            targets: labels (B,) integer, or shares (B, K) float.

        Returns:
            0-d, from 0.

        Raises:
            ConfigError: no ``class_counts``, or another number of them than K.
            DataError: targets of another shape, or labels of no class.
        """
        if not self.has_class_counts:
            raise ConfigError(
                "ClassBalancedLoss: class_counts are not known",
                expected="the number of training pictures of each class",
                hint="train with --data, which counts them, or give them in the config",
            )
        loss: Tensor = self.loss(logits, targets)
        return loss
