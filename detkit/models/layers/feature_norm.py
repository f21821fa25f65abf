"""Norms of vectors of features, as configs of classification heads name them."""

from __future__ import annotations

from mmcv.cnn import build_norm_layer
from torch import nn

from detkit.errors import ConfigError
from detkit.models.layers.norm import check_norm_cfg

_VECTOR_NORMS = (nn.LayerNorm, nn.BatchNorm1d, nn.GroupNorm, nn.SyncBatchNorm)


def build_feature_norm(owner: str, norm_cfg: object, channels: int) -> nn.Module:
    """Build a norm of vectors (B, channels); None leaves them as they are.

    Args:
        owner: whose it is, for messages.
        norm_cfg: as mmcv's ``build_norm_layer`` takes it: a type, 'LN' or 'BN1d', and that norm's
            arguments.
        channels: C.

    Raises:
        ConfigError: no such type, or not one of vectors; arguments that it does not know.
    """
    if norm_cfg is None:
        return nn.Identity()
    cfg = check_norm_cfg(owner, norm_cfg)
    try:
        norm: nn.Module = build_norm_layer(cfg, channels)[1]
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise ConfigError(f"{owner}: norm_cfg", got=repr(cfg),
                          expected=f"a norm for {channels} channels ({error})") from error
    if not isinstance(norm, _VECTOR_NORMS):
        raise ConfigError(f"{owner}: norm_cfg", got=repr(cfg),
                          expected="a norm of vectors (B, C), such as dict(type='LN') or "
                          "dict(type='BN1d')")
    return norm
