"""Channels and strides of a backbone's feature maps: published by its class, or measured."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import ConfigDict

from detkit import registry as detkit_registry
from detkit.config.validate.registry_lookup import resolve_class

logger = logging.getLogger(__name__)

_PROBE_SIDE = 128


@dataclass(frozen=True)
class BackboneFeatureInfo:
    """Feature maps of a backbone, the highest resolution first.

    Args:
        channels: of each level.
        strides: of each level; None if unknown.
        publishes_strides: False where ``strides`` were measured: mmdet's backbones do not publish
            them, and one that is used in a special way may mean others.
        fixed_size: (H, W) of the largest image that it takes; None for any size.
    """

    channels: tuple[int, ...]
    strides: tuple[int | float, ...] | None = None
    publishes_strides: bool = True
    fixed_size: tuple[int, int] | None = None


def get_feature_channels(
    backbone: Mapping[str, Any], scope: str = detkit_registry.SCOPE, build: bool = True
) -> tuple[int, ...] | None:
    """Return the channels of each level, the highest resolution first; None if unknown.

    Args:
        backbone, scope, build: those of ``get_backbone_feature_info``.
    """
    info = get_backbone_feature_info(backbone, scope, build)
    return None if info is None else info.channels


def get_backbone_feature_info(
    backbone: Mapping[str, Any], scope: str = detkit_registry.SCOPE, build: bool = True,
    measure_strides: bool = False,
) -> BackboneFeatureInfo | None:
    """Return the channels and strides of a backbone's levels; None if unknown.

    A backbone that does not publish them is built and run on torch's meta device, which has
    shapes but no data, or on the CPU if that fails.

    Args:
        backbone: its config.
        scope: the config's default scope.
        build: False skips backbones of other libraries that do not publish their channels, so no
            forward pass is needed.
        measure_strides: run a backbone that publishes its channels but no strides.
    """
    target = resolve_class(backbone, scope=scope)
    if target is None or not (build or hasattr(target, "feature_channels")
                              or target.__module__.startswith("detkit.")):
        return None
    arguments = ConfigDict({k: v for k, v in backbone.items() if k not in ("type", "init_cfg")})
    for device in ("meta", "cpu"):
        try:
            return _probe_backbone(target, arguments, device, measure_strides)
        except Exception as error:
            # A backbone that cannot be built at all fails again, with its own message, when the
            # model is built.
            logger.debug("%s cannot be probed on %s", target, device, exc_info=error)
    # What it publishes is known without a run.
    return get_backbone_feature_info(backbone, scope, build) if measure_strides else None


def _probe_backbone(target: Any, arguments: Mapping[str, Any], device: str,
                    measure_strides: bool) -> BackboneFeatureInfo:
    import torch

    with torch.device(device), torch.no_grad():
        module = target(**arguments)
        published = getattr(module, "feature_channels", None)
        if published is not None:
            channels = tuple(int(count) for count in published)
            strides = _parse_strides(getattr(module, "feature_strides", None), len(channels))
            if strides is not None or not measure_strides:
                return BackboneFeatureInfo(channels, strides,
                                           fixed_size=getattr(module, "fixed_size", None))
        module.eval()  # Not chained: train() of mmdet's backbones returns None.
        levels = module(torch.zeros(1, 3, _PROBE_SIDE, _PROBE_SIDE))
    return BackboneFeatureInfo(tuple(int(level.shape[1]) for level in levels),
                               _measure_strides(levels), publishes_strides=False)


def _measure_strides(levels: Any) -> tuple[int, ...] | None:
    """Strides of the maps of the probe; None where a map is not an exact fraction of the image."""
    sides = [tuple(level.shape[2:]) for level in levels]
    if not all(len(side) == 2 and side[0] == side[1] and side[0] and _PROBE_SIDE % side[0] == 0
               for side in sides):
        return None
    return tuple(_PROBE_SIDE // side[0] for side in sides)


def _parse_strides(strides: Any, num_levels: int) -> tuple[int | float, ...] | None:
    """Return the published strides if there is a positive number for each level, else None."""
    is_valid = isinstance(strides, (list, tuple)) and len(strides) == num_levels and all(
        isinstance(stride, (int, float)) and stride > 0 for stride in strides
    )
    return tuple(strides) if is_valid else None
