"""Build the normalization layers that configs name, for feature maps and feature vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmcv.cnn import build_norm_layer
from torch import nn

from detkit.errors import ConfigError
from detkit.models.validation import check_positive, is_count, is_number

_EXAMPLE = "a dict such as dict(type='BN') or dict(type='GN', num_groups=8)"
# They take other shapes than (B, C, H, W), which would only fail at the first image.
_UNSUPPORTED_NORMS = (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm3d, nn.InstanceNorm1d,
                      nn.InstanceNorm3d)

_VECTOR_NORMS = (nn.LayerNorm, nn.BatchNorm1d, nn.GroupNorm, nn.SyncBatchNorm)


def check_norm_cfg(owner: str, norm_cfg: object) -> dict[str, Any]:
    """Return a copy of ``norm_cfg`` after checking it.

    Raises:
        ConfigError: not a dict with a type, or eps or momentum is not a number.
    """
    if not isinstance(norm_cfg, Mapping) or not norm_cfg.get("type"):
        raise ConfigError(f"{owner}: norm_cfg", got=repr(norm_cfg), expected=_EXAMPLE)
    cfg = dict(norm_cfg)
    check_positive(owner, "norm_cfg.eps", cfg.get("eps", 1e-5))
    # For torch, None means the average over all steps.
    if not (cfg.get("momentum") is None or is_number(cfg["momentum"])):
        raise ConfigError(f"{owner}: norm_cfg.momentum", got=repr(cfg["momentum"]),
                          expected="a number, or None")
    return cfg


def build_norm(owner: str, norm_cfg: object, channels: int) -> nn.Module:
    """Build a norm of feature maps (B, channels, H, W).

    Args:
        owner: the module that has the norm, for messages.
        norm_cfg: as mmcv's ``build_norm_layer`` takes it: a type, such as 'BN', 'SyncBN' or 'GN',
            and that norm's arguments.
        channels: C.

    Raises:
        ConfigError: an unknown type, a norm of other shapes, or missing, unknown or invalid
            arguments.
    """
    cfg = check_norm_cfg(owner, norm_cfg)
    if cfg["type"] in ("GN", nn.GroupNorm):
        groups = cfg.get("num_groups")
        if not is_count(groups) or channels % groups:  # type: ignore[operator]
            raise ConfigError(f"{owner}: norm_cfg", got=repr(cfg),
                              expected=f"a num_groups that divides {channels} channels")
    norm = _build(owner, cfg, channels)
    if type(norm) in _UNSUPPORTED_NORMS:
        raise ConfigError(f"{owner}: norm_cfg", got=repr(cfg),
                          expected=f"a norm of maps (B, C, H, W): {_EXAMPLE}")
    return norm


def build_feature_norm(owner: str, norm_cfg: object, channels: int) -> nn.Module:
    """Build a norm of feature vectors (B, channels); None gives the identity.

    Args:
        owner: the module that has the norm, for messages.
        norm_cfg: as mmcv's ``build_norm_layer`` takes it: a type, 'LN' or 'BN1d', and that norm's
            arguments.
        channels: C.

    Raises:
        ConfigError: an unknown type, a norm of other shapes, or unknown arguments.
    """
    if norm_cfg is None:
        return nn.Identity()
    cfg = check_norm_cfg(owner, norm_cfg)
    norm = _build(owner, cfg, channels)
    if not isinstance(norm, _VECTOR_NORMS):
        raise ConfigError(f"{owner}: norm_cfg", got=repr(cfg),
                          expected="a norm of vectors (B, C), such as dict(type='LN') or "
                          "dict(type='BN1d')")
    return norm


def _build(owner: str, cfg: dict[str, Any], channels: int) -> nn.Module:
    try:
        norm: nn.Module = build_norm_layer(cfg, channels)[1]
    except KeyError as error:
        raise ConfigError(f"{owner}: norm_cfg", got=repr(cfg),
                          expected="a type that is registered, such as 'BN'") from error
    except (TypeError, ValueError, AssertionError) as error:
        raise ConfigError(f"{owner}: norm_cfg", got=repr(cfg),
                          expected=f"a norm for {channels} channels ({error})") from error
    return norm
