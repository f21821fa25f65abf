"""The levels that a backbone gives: what it publishes, else what a run of it shows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import ConfigDict

from detkit import registry as detkit_registry
from detkit.config.validate.registry_lookup import resolve_class

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackboneFeatureInfo:
    """What a backbone gives, finest first.

    Args:
        channels: of each level.
        strides: of each level; None where the backbone does not publish them.
    """

    channels: tuple[int, ...]
    strides: tuple[int | float, ...] | None = None


def get_feature_channels(
    backbone: Mapping[str, Any], scope: str = detkit_registry.SCOPE, build: bool = True
) -> tuple[int, ...] | None:
    """Channels of each level that a backbone gives, finest first; None when not known.

    Args:
        backbone, scope, build: those of ``get_backbone_feature_info``.
    """
    levels = get_backbone_feature_info(backbone, scope, build)
    return None if levels is None else levels.channels


def get_backbone_feature_info(
    backbone: Mapping[str, Any], scope: str = detkit_registry.SCOPE, build: bool = True
) -> BackboneFeatureInfo | None:
    """The levels that a backbone gives; None when they are not known.

    A backbone that does not say is built and run on torch's meta device, where tensors have a
    shape and no content; one that cannot be, on the CPU.

    Args:
        backbone: its config.
        scope: the config's default scope.
        build: False asks only backbones of detkit, and others whose class publishes its channels:
            they know without a forward pass.
    """
    target = resolve_class(backbone, scope=scope)
    if target is None or not (build or hasattr(target, "feature_channels")
                              or target.__module__.startswith("detkit.")):
        return None
    arguments = ConfigDict({k: v for k, v in backbone.items() if k not in ("type", "init_cfg")})
    for device in ("meta", "cpu"):
        try:
            return _probe_backbone(target, arguments, device)
        except Exception as error:
            # Any backbone, of anyone, may be asked; one that fails in earnest fails again when
            # the model is built, and says why.
            logger.debug("%s does not tell its levels on %s", target, device, exc_info=error)
    return None


def _probe_backbone(target: Any, arguments: Mapping[str, Any], device: str) -> BackboneFeatureInfo:
    import torch

    with torch.device(device), torch.no_grad():
        module = target(**arguments)
        published = getattr(module, "feature_channels", None)
        if published is not None:
            return BackboneFeatureInfo(
                tuple(int(channels) for channels in published),
                _parse_strides(getattr(module, "feature_strides", None), len(published)),
            )
        module.eval()  # Not chained: train() of mmdet's backbones returns nothing.
        levels = module(torch.zeros(1, 3, 128, 128))
    return BackboneFeatureInfo(tuple(int(level.shape[1]) for level in levels))


def _parse_strides(strides: Any, num_levels: int) -> tuple[int | float, ...] | None:
    """Published strides, one for each level; None where they are something else."""
    is_valid = isinstance(strides, (list, tuple)) and len(strides) == num_levels and all(
        isinstance(stride, (int, float)) and stride > 0 for stride in strides
    )
    return tuple(strides) if is_valid else None
