"""The levels that a neck gives: how many, of how many channels, at which strides."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detkit import registry as ours
from detkit.config.validate.registry_lookup import class_of


@dataclass(frozen=True)
class NeckLevels:
    """What is known of a neck's levels; None for what is not.

    Args:
        channels: of every level.
        count: of levels.
        strides: of each level, finest first.
        read: levels before those that only halve the last; RoI heads read these.
    """

    channels: int | None = None
    count: int | None = None
    strides: tuple[int | float, ...] | None = None
    read: int | None = None


def neck_levels(
    necks: Sequence[Any], strides: Sequence[int | float] | None, scope: str = ours.SCOPE
) -> NeckLevels:
    """What the last of ``necks`` gives.

    Strides are known of a single FPN, PAFPN, DeformableFPN, BiFPN or SimpleFeaturePyramid; numbers
    that it would refuse itself make them unknown.

    Args:
        necks: configs, in the order in which they are run; not empty.
        strides: of the backbone's levels; None when not known.
        scope: the config's default scope.
    """
    last = necks[-1]
    if not isinstance(last, Mapping) or "type" not in last:
        return NeckLevels()
    target = class_of(last, scope=scope)
    channels, count = (argument(last, target, name) for name in ("out_channels", "num_outs"))
    channels = channels if isinstance(channels, int) else None
    count = count if isinstance(count, int) else None
    found = None
    if len(necks) == 1 and strides is not None and count is not None:
        found = _read_strides(last, target, list(strides))
    if not found or count is None or len(found) > count:
        return NeckLevels(channels, count)
    extra = [found[-1] * 2**step for step in range(1, count - len(found) + 1)]
    every = tuple(int(stride) if stride == int(stride) else stride for stride in found + extra)
    return NeckLevels(channels, count, every, len(found))


def argument(part: Mapping[str, Any], target: Any, name: str) -> Any:
    """What a part is built with: what its config gives, else its class's default, else None."""
    given = part.get(name)
    if given is not None or not inspect.isclass(target):
        return given
    for base in target.__mro__:
        if "__init__" in vars(base):
            parameter = inspect.signature(vars(base)["__init__"]).parameters.get(name)
            if parameter is not None:
                return None if parameter.default is parameter.empty else parameter.default
    return None


def _read_strides(
    neck: Mapping[str, Any], target: Any, strides: list[int | float]
) -> list[int | float] | None:
    """Strides of the levels that are made of the backbone's maps, one by one."""
    if not getattr(target, "__module__", "").startswith(("mmdet.", "detkit.")):
        return None
    if target.__name__ == "SimpleFeaturePyramid":
        scales = argument(neck, target, "scale_factors")
        right = isinstance(scales, (list, tuple)) and all(
            isinstance(scale, (int, float)) and scale > 0 and math.isfinite(scale)
            for scale in scales
        )
        return [strides[0] / scale for scale in scales] if right and len(strides) == 1 else None
    if target.__name__ not in ("FPN", "PAFPN", "DeformableFPN", "BiFPN"):
        return None
    start = argument(neck, target, "start_level")
    end = argument(neck, target, "end_level")
    if start is None:
        start = 0
    if end is None or end == -1:
        end = len(strides) - 1
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start <= end < len(strides)):
        return None
    return strides[start : end + 1]
