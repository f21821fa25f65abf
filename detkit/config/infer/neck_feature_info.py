"""Channels, number and strides of a neck's feature maps."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import ConfigDict

from detkit import registry as detkit_registry
from detkit.config.infer.feature_info import BackboneFeatureInfo
from detkit.config.validate.registry_lookup import resolve_class

logger = logging.getLogger(__name__)

# More finer levels than this are a mistake, which the neck reports.
_MAX_FINER = 16


@dataclass(frozen=True)
class NeckFeatureInfo:
    """Feature maps of a neck; None for unknown values.

    Args:
        channels: of every level.
        num_levels: number of levels.
        strides: of each level, the highest resolution first.
        num_roi_levels: number of levels made from the backbone's feature maps, without the extra
            levels that halve the last; RoI heads read these.
        strides_are_published: False where the backbone's strides were measured: they are set where
            the config has none, and contradict nothing.
    """

    channels: int | None = None
    num_levels: int | None = None
    strides: tuple[int | float, ...] | None = None
    num_roi_levels: int | None = None
    strides_are_published: bool = True


def get_neck_feature_info(
    necks: Sequence[Any], backbone: BackboneFeatureInfo | None, scope: str = detkit_registry.SCOPE
) -> NeckFeatureInfo:
    """Return the feature maps of the last of ``necks``.

    Strides are known for a single FPN, PAFPN, DeformableFPN, FinerFPN, BiFPN or
    SimpleFeaturePyramid with valid arguments.

    Args:
        necks: configs, in order of execution; not empty.
        backbone: its levels; None if unknown.
        scope: the config's default scope.
    """
    last = necks[-1]
    if not isinstance(last, Mapping) or "type" not in last:
        return NeckFeatureInfo()
    target = resolve_class(last, scope=scope)
    channels, num_levels = (get_argument(last, target, name)
                            for name in ("out_channels", "num_outs"))
    channels = channels if isinstance(channels, int) else None
    num_levels = num_levels if isinstance(num_levels, int) else None
    lateral_strides = None
    strides = None if backbone is None else backbone.strides
    if len(necks) == 1 and strides is not None and num_levels is not None:
        lateral_strides = _lateral_strides(last, target, list(strides))
    if not lateral_strides or num_levels is None or len(lateral_strides) > num_levels:
        return NeckFeatureInfo(channels, num_levels)
    extra_strides = [
        lateral_strides[-1] * 2**step for step in range(1, num_levels - len(lateral_strides) + 1)
    ]
    all_strides = tuple(
        int(stride) if stride == int(stride) else stride
        for stride in lateral_strides + extra_strides)
    return NeckFeatureInfo(channels, num_levels, all_strides, len(lateral_strides),
                           backbone is None or backbone.publishes_strides)


def measure_neck(
    necks: Sequence[Any], backbone: BackboneFeatureInfo, scope: str = detkit_registry.SCOPE
) -> NeckFeatureInfo | None:
    """Return the feature maps of any necks by a run on maps without data; None if that fails.

    Args:
        necks: configs with channels, in order of execution.
        backbone: its levels.
        scope: the config's default scope.
    """
    for device in ("meta", "cpu") if backbone.strides else ():
        try:
            return _probe_necks(necks, backbone.channels, backbone.strides or (), device, scope)
        # A neck that cannot be built fails again, with its own message, when the model is built.
        except Exception as error:
            logger.debug("the necks cannot be measured on %s", device, exc_info=error)
    return None


def _probe_necks(
    necks: Sequence[Any], channels: Sequence[int], strides: Sequence[int | float], device: str,
    scope: str,
) -> NeckFeatureInfo:
    import torch

    side = int(max(strides)) * 8
    with torch.device(device), torch.no_grad():
        maps: Any = tuple(torch.zeros(1, count, *[math.ceil(side / stride)] * 2)
                          for count, stride in zip(channels, strides, strict=True))
        for neck in necks:
            target: Any = resolve_class(neck, scope=scope)
            module = target(**ConfigDict({k: v for k, v in neck.items()
                                          if k not in ("type", "init_cfg")}))
            module.eval()
            maps = module(maps)
    measured = tuple(math.ceil(side / level.shape[-1]) for level in maps)
    widths = {int(level.shape[1]) for level in maps}
    return NeckFeatureInfo(
        widths.pop() if len(widths) == 1 else None, len(measured), measured,
        sum(stride <= max(strides) for stride in measured), strides_are_published=False)


def get_argument(component: Mapping[str, Any], target: Any, name: str) -> Any:
    """Return an argument of a component: from its config, else the default, else None."""
    value = component.get(name)
    if value is not None or not inspect.isclass(target):
        return value
    for base in target.__mro__:
        if "__init__" in vars(base):
            parameter = inspect.signature(vars(base)["__init__"]).parameters.get(name)
            if parameter is not None:
                return None if parameter.default is parameter.empty else parameter.default
    return None


def _lateral_strides(
    neck: Mapping[str, Any], target: Any, strides: list[int | float]
) -> list[int | float] | None:
    """Strides of the levels made directly from the backbone's feature maps."""
    from mmdet.models.necks import FPN, PAFPN

    from detkit.models.necks.bifpn import BiFPN
    from detkit.models.necks.deformable_fpn import DeformableFPN
    from detkit.models.necks.finer_fpn import FinerFPN
    from detkit.models.necks.simple_feature_pyramid import SimpleFeaturePyramid

    if target is SimpleFeaturePyramid:
        scales = get_argument(neck, target, "scale_factors")
        is_valid = isinstance(scales, (list, tuple)) and all(
            isinstance(scale, (int, float)) and scale > 0 and math.isfinite(scale)
            for scale in scales
        )
        return [strides[0] / scale for scale in scales] if is_valid and len(strides) == 1 else None
    if target is FinerFPN:
        num_finer = get_argument(neck, target, "num_finer")
        if not isinstance(num_finer, int) or not 0 < num_finer < _MAX_FINER:
            return None
        return [strides[0] / 2**step for step in range(num_finer, 0, -1)] + strides
    if target not in (FPN, PAFPN, DeformableFPN, BiFPN):
        return None
    start = get_argument(neck, target, "start_level")
    end = get_argument(neck, target, "end_level")
    if start is None:
        start = 0
    if end is None or end == -1:
        end = len(strides) - 1
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start <= end < len(strides)):
        return None
    return strides[start : end + 1]
