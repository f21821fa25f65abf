"""From maps of features to one vector for each picture."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.registry import MODELS


@MODELS.register_module()
class GlobalAveragePooling(nn.Module):
    """The mean of the last map over its cells.

    mmdet's class of this name, which pools every map and knows windows, is
    ``mmdet.GlobalAveragePooling`` in a config.
    """

    def forward(self, features: Tensor | Sequence[Tensor]) -> Tensor:
        """Pool the last of what a backbone gives.

        Args:
            features: maps (B, C, H, W) in any memory format, or vectors (B, C), which stay as
                they are; of several the last. B may be 0.

        Returns:
            (B, C), of the same dtype.

        Raises:
            ConfigError: the last one is neither.
        """
        last = last_feature(features)
        return last.mean((2, 3)) if last.ndim == 4 else last


def last_feature(features: object) -> Tensor:
    """The last of what a backbone gives, (B, C, H, W) or (B, C).

    Raises:
        ConfigError: it is none of both.
    """
    last = features[-1] if isinstance(features, (list, tuple)) and features else features
    if isinstance(last, Tensor) and last.ndim in (2, 4):
        return last
    raise ConfigError(
        "model.backbone: what it gives cannot be pooled",
        got=tuple(last.shape) if isinstance(last, Tensor) else type(last).__name__,
        expected="a map (B, C, H, W) or a vector (B, C) for each picture",
    )
