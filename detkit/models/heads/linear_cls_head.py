"""Classification head with one linear layer: features to class logits."""

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
# As in timm and the official code for the last layer of Swin and ConvNeXt.
_INIT_STD = 0.02


@MODELS.register_module()
class LinearClsHead(BaseModule):  # type: ignore[misc]  # mmengine has no types
    """Optional norm, dropout, and a linear layer, ``fc``. B images, C channels, K classes.

    Args:
        num_classes: K.
        in_channels: C, the channels of the backbone's last level.
        loss: None means ``dict(type='SoftCrossEntropyLoss')``.
        dropout: probability of dropping a feature during training.
        norm_cfg: ``dict(type='LN', eps=1e-6)`` as in ConvNeXt; None for no norm.
        init_cfg: mmengine's, applied after the default initialization.

    Raises:
        ConfigError: an invalid number or norm.
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
        """Initialize linear layers: truncated normal, std 0.02; biases zero."""
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
        """Compute the loss of a batch.

        Args:
            features: (B, C).
            targets: labels (B,) integer, or class probabilities (B, K) float.

        Returns:
            ``loss``, 0-d.

        Raises:
            ConfigError: features of another shape.
            DataError: targets of another shape, or labels outside 0..K-1.
        """
        return {"loss": self.loss_cls(self(features), targets)}


def check_features(owner: str, features: Tensor, in_channels: int) -> None:
    """Raise ConfigError unless the features are (B, in_channels)."""
    if features.ndim != 2 or features.shape[1] != in_channels:
        raise ConfigError(
            f"model.head: {owner} with in_channels={in_channels} gets features of another shape",
            got=tuple(features.shape), expected=f"(B, {in_channels})",
            hint="set in_channels to the channels of the backbone's last level",
        )


def init_linear_layers(head: nn.Module) -> None:
    """Initialize every linear layer of ``head`` for training from scratch."""
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=_INIT_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
