"""A classifier's last layer: from features to one number for each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.models.build import build_module
from detkit.models.layers.norm import build_feature_norm
from detkit.models.validation import check_count, check_rate
from detkit.registry import MODELS

DEFAULT_LOSS = "SoftCrossEntropyLoss"
# Of timm's and the official code's last layers, for Swin and ConvNeXt.
_INIT_STD = 0.02


@MODELS.register_module()
class LinearClsHead(BaseModule):  # type: ignore[misc]  # mmengine has no types
    """Norm if asked for, dropout, and a linear layer, ``fc``. B pictures, C channels, K classes.

    Args:
        num_classes: K.
        in_channels: C, those of the backbone's last level.
        loss: None is ``dict(type='SoftCrossEntropyLoss')``.
        dropout: probability of a feature to be left out while training.
        norm_cfg: ``dict(type='LN', eps=1e-6)`` as ConvNeXt has it; None for none.
        init_cfg: mmengine's, done after the first weights are made.

    Raises:
        ConfigError: a number or a norm that cannot be.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss: Mapping[str, Any] | None = None,
        dropout: float = 0.0,
        norm_cfg: Mapping[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        name = type(self).__name__
        check_count(name, "num_classes", num_classes)
        check_count(name, "in_channels", in_channels)
        check_rate(name, "dropout", dropout)
        self.num_classes, self.in_channels = num_classes, in_channels
        self.norm = build_feature_norm(name, norm_cfg, in_channels)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(in_channels, num_classes)
        self.loss_cls = build_module(f"{name}: loss", loss or {"type": DEFAULT_LOSS}, DEFAULT_LOSS)

    def init_weights(self) -> None:
        """Linear layers from a normal of deviation 0.02, cut at two units, zero biases."""
        init_linear_layers(self)
        super().init_weights()

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C) -> logits (B, K). B may be 0.

        Raises:
            ConfigError: features of another shape.
        """
        check_features(type(self).__name__, features, self.in_channels)
        logits: Tensor = self.fc(self.dropout(self.norm(features)))
        return logits

    def loss(self, features: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The loss of a batch.

        Args:
            features: (B, C).
            targets: labels (B,) integer, or shares (B, K) float.

        Returns:
            ``loss``, 0-d.

        Raises:
            ConfigError: features of another shape.
            DataError: targets of another shape, or labels of no class.
        """
        return {"loss": self.loss_cls(self(features), targets)}


def check_features(owner: str, features: Tensor, in_channels: int) -> None:
    """Raise ConfigError unless the features are (B, in_channels)."""
    if features.ndim != 2 or features.shape[1] != in_channels:
        raise ConfigError(
            f"model.head: {owner} with in_channels={in_channels} gets other features",
            got=tuple(features.shape), expected=f"(B, {in_channels})",
            hint="let in_channels be the channels of the backbone's last level",
        )


def init_linear_layers(head: nn.Module) -> None:
    """Set every linear layer of ``head`` as a training from nothing begins with it."""
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=_INIT_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
