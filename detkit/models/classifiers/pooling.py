"""Pooling of feature maps into one vector for each image."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.registry import MODELS


@MODELS.register_module()
class GlobalAveragePooling(nn.Module):
    """Mean of the last feature map over its positions.

    mmdet's class of this name, which pools every map, is ``mmdet.GlobalAveragePooling`` in a
    config.
    """

    def forward(self, features: Tensor | Sequence[Tensor]) -> Tensor:
        """Pool a backbone's last output.

        Args:
            features: maps (B, C, H, W) in any memory format, or vectors (B, C), which are
                returned unchanged; of several the last is taken. B may be 0.

        Returns:
            (B, C), of the same dtype.

        Raises:
            ConfigError: the last output is neither a map nor a vector.
        """
        last = last_feature(features)
        return last.mean((2, 3)) if last.ndim == 4 else last


def last_feature(features: object) -> Tensor:
    """Return a backbone's last output, (B, C, H, W) or (B, C).

    Raises:
        ConfigError: it has another shape or is not a tensor.
    """
    last = features[-1] if isinstance(features, (list, tuple)) and features else features
    if isinstance(last, Tensor) and last.ndim in (2, 4):
        return last
    raise ConfigError(
        "model.backbone: its output cannot be pooled",
        got=tuple(last.shape) if isinstance(last, Tensor) else type(last).__name__,
        expected="a map (B, C, H, W) or a vector (B, C) for each image",
    )
