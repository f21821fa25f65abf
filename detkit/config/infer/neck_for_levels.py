"""Fit the neck to a TimmBackbone that is given by its name alone.

Such a config does not say which levels the model has, so its FPN cannot be meant for other ones
than the usual four: an FPN becomes the neck that makes the usual strides from the model's levels.
Heads then find strides 4 to 64, as their anchors and RoI levels expect. Where the config says
``strides`` the neck stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from typing import Any

from detkit import registry as detkit_registry
from detkit.config.infer.feature_info import BackboneFeatureInfo
from detkit.config.infer.neck_feature_info import get_argument
from detkit.config.validate.registry_lookup import resolve_class
from detkit.errors import ConfigError

AUTO = "auto"
USUAL_STRIDES = (4, 8, 16, 32)
# Arguments of FPN that SimpleFeaturePyramid has, too.
_SHARED_ARGS = ("in_channels", "out_channels", "num_outs", "init_cfg")


def fit_neck_to_levels(
    backbone: MutableMapping[str, Any], neck: MutableMapping[str, Any], neck_path: str,
    info: BackboneFeatureInfo, scope: str = detkit_registry.SCOPE,
) -> str | None:
    """Write a backbone's levels into its config, and replace an FPN where they are unusual ones.

    Does nothing unless the backbone is a TimmBackbone without ``strides``.

    Args:
        backbone, neck: their configs, changed in place.
        neck_path: for messages, such as ``model.neck``.
        info: levels of the backbone.
        scope: the config's default scope.

    Returns:
        what was set, for the log; None where the levels are the usual ones.

    Raises:
        ConfigError: the FPN has an argument that a neck for a single map does not have.
    """
    from mmdet.models.necks import FPN

    from detkit.models.backbones.timm.timm_backbone import TimmBackbone

    if (resolve_class(backbone, scope=scope) is not TimmBackbone or not info.strides
            or backbone.get("strides", AUTO) != AUTO):
        return None
    backbone["strides"] = list(info.strides)
    if tuple(info.strides) == USUAL_STRIDES:
        return None
    before = str(neck["type"])
    if resolve_class(neck, scope=scope) is FPN:
        if len(info.strides) == 1:
            _use_simple_feature_pyramid(neck, neck_path, info, str(backbone.get("name")))
        else:
            _use_finer_fpn(neck, info.strides)
    settings = "".join(f", {key}={neck[key]}" for key in ("num_finer", "scale_factors")
                       if key in neck)
    return (f"levels of stride {_join(info.strides)}, neck {neck['type']}{settings}"
            + ("" if neck["type"] == before else f" in place of {before}"))


def _use_finer_fpn(neck: MutableMapping[str, Any], strides: Sequence[int | float]) -> None:
    """Add the finer levels that ``num_outs`` has room for; FPN stays if there are none."""
    num_outs = neck.get("num_outs")
    selects_levels = neck.get("start_level") or neck.get("end_level") not in (None, -1)
    if selects_levels or not isinstance(num_outs, int):
        return
    num_finer = min(_doublings_to_finest(strides[0]), num_outs - len(strides))
    if num_finer > 0:
        for key in ("start_level", "end_level"):
            neck.pop(key, None)
        neck.update(type="FinerFPN", num_finer=num_finer)


def _use_simple_feature_pyramid(
    neck: MutableMapping[str, Any], path: str, info: BackboneFeatureInfo, name: str
) -> None:
    from mmdet.models.necks import FPN

    for key in list(neck):
        if key in ("type", *_SHARED_ARGS):
            continue
        if neck[key] != get_argument({}, FPN, key):
            stride = _join(info.strides or ())
            raise ConfigError(
                f"{path}.{key}: {name} has one level, of stride {stride}, from which "
                "SimpleFeaturePyramid makes the others; it has no such argument",
                got=repr(neck[key]),
                hint=f"omit {key}, or set model.backbone.strides={stride}, to keep the FPN "
                "on that level")
        del neck[key]
    assert info.strides is not None
    finest = _doublings_to_finest(info.strides[0])
    while finest > 0 and info.channels[0] % 2**finest:
        finest -= 1
    num_outs = neck.get("num_outs")
    num_scales = min(len(USUAL_STRIDES), num_outs if isinstance(num_outs, int) else 5)
    neck.update(type="SimpleFeaturePyramid",
                scale_factors=[2.0 ** (finest - step) for step in range(num_scales)])


def _doublings_to_finest(stride: int | float) -> int:
    """How many times a map of this stride is doubled to come closest to the finest usual one."""
    return max(0, round(math.log2(stride / USUAL_STRIDES[0])))


def _join(strides: Sequence[int | float]) -> str:
    return ", ".join(f"{stride:g}" for stride in strides)
