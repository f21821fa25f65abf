"""Classification head with hidden layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.cnn import build_activation_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.models.build import build_module
from detkit.models.heads.linear_cls_head import (
    DEFAULT_LOSS,
    check_features,
    init_linear_layers,
)
from detkit.models.layers.norm import build_feature_norm
from detkit.models.validation import check_count, check_counts, check_rate
from detkit.registry import MODELS


@MODELS.register_module()
class MLPClsHead(BaseModule):  # type: ignore[misc]  # mmengine has no types
    """Hidden layers of linear, norm, activation and dropout, then a linear layer, ``fc``.

    B images, C channels, K classes.

    Args:
        num_classes: K.
        in_channels: C, the channels of the backbone's last level.
        hidden_channels: channels of each hidden layer, at least one.
        act_cfg: the activation, as mmcv's ``build_activation_layer`` takes it. None means GELU.
        norm_cfg: ``dict(type='LN')`` or ``dict(type='BN1d')``, which needs batches of
            two and more; None for no norm.
        dropout: probability of dropping a hidden feature during training.
        loss: None means ``dict(type='SoftCrossEntropyLoss')``.
        init_cfg: mmengine's, applied after the default initialization.

    Raises:
        ConfigError: an invalid number, activation or norm.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        hidden_channels: Sequence[int] = (512,),
        act_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = None,
        dropout: float = 0.0,
        loss: Mapping[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        name = type(self).__name__
        check_count(name, "num_classes", num_classes)
        check_count(name, "in_channels", in_channels)
        check_counts(name, "hidden_channels", hidden_channels, each="hidden layer")
        check_rate(name, "dropout", dropout)
        self.num_classes, self.in_channels = num_classes, in_channels
        layer_channels = (in_channels, *hidden_channels)
        self.hidden = nn.Sequential(*(
            nn.Sequential(
                nn.Linear(in_width, width),
                build_feature_norm(name, norm_cfg, width),
                _build_activation(name, act_cfg),
                nn.Dropout(dropout),
            )
            for in_width, width in zip(layer_channels, layer_channels[1:])
        ))
        self.fc = nn.Linear(layer_channels[-1], num_classes)
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
        logits: Tensor = self.fc(self.hidden(features))
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


def _build_activation(owner: str, act_cfg: Mapping[str, Any] | None) -> nn.Module:
    if act_cfg is None:
        return nn.GELU()
    try:
        activation: nn.Module = build_activation_layer(dict(act_cfg))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{owner}: act_cfg", got=repr(act_cfg),
                          expected="an activation, such as dict(type='GELU')") from error
    return activation
