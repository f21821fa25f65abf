"""The ``img_size`` of a model of timm that takes images of one size only, from the pipelines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from detkit import registry as detkit_registry
from detkit.config.data.datasets import unwrap_dataset
from detkit.config.infer.feature_info import BackboneFeatureInfo, get_backbone_feature_info

_LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def infer_img_size(
    cfg: Mapping[str, Any], backbone: MutableMapping[str, Any], info: BackboneFeatureInfo,
    scope: str = detkit_registry.SCOPE,
) -> str | None:
    """Set the omitted ``img_size`` of a backbone with a fixed input size.

    Without it the backbone has the size that its model was published with, 224 pixels for most, and
    rejects larger images. It stays where the pipelines' images are not larger, or not known, and
    where the model has no such argument.

    Args:
        cfg: with the dataloaders and the model's data preprocessor.
        backbone: its config, changed in place.
        info: of the backbone.
        scope: the config's default scope.

    Returns:
        what was set, for the log; None if nothing.
    """
    if info.fixed_size is None or backbone.get("img_size") is not None:
        return None
    largest = get_largest_side(cfg)
    if largest is None:
        return None
    preprocessor = cfg["model"].get("data_preprocessor") or {}
    divisor = preprocessor.get("pad_size_divisor", 1)
    # Maps of every stride, and the batch's padding, end where the image does.
    unit = math.lcm(*(int(stride) for stride in info.strides or ()),
                    divisor if isinstance(divisor, int) and divisor > 0 else 1)
    side = -(-largest // unit) * unit
    if side <= min(info.fixed_size) or get_backbone_feature_info(
            {**backbone, "img_size": side}, scope) is None:
        return None
    backbone["img_size"] = side
    return f"img_size={side} for images of up to {largest} pixels"


def get_largest_side(cfg: Mapping[str, Any]) -> int | None:
    """Return the longest side that an image may have after a pipeline; None if not known.

    Args:
        cfg: with dataloaders; the steps of theirs that set a size are mmdet's.
    """
    sides = [_side_after(pipeline) for pipeline in _iter_pipelines(cfg)]
    known = [side for side in sides if side is not None]
    return max(known) if known and len(known) == len(sides) else None


def _iter_pipelines(cfg: Mapping[str, Any]) -> Iterator[list[Any]]:
    """The steps that an image passes, of every dataset: the innermost dataset's come first."""
    for key in _LOADERS:
        loader = cfg.get(key)
        dataset = loader.get("dataset") if isinstance(loader, Mapping) else None
        pipelines = [part["pipeline"] for part in unwrap_dataset(dataset)
                     if isinstance(part.get("pipeline"), (list, tuple))]
        if pipelines:
            yield [step for pipeline in reversed(pipelines) for step in pipeline]


def _side_after(pipeline: list[Any]) -> int | None:
    side: int | None = None
    for step in pipeline:
        if not isinstance(step, Mapping):
            continue
        name = str(step.get("type")).rpartition(".")[2]
        if name in ("Resize", "FixScaleResize", "RandomResize", "RandomChoiceResize"):
            longest = _longest(step.get("scales" if "Choice" in name else "scale"))
            ratios = step.get("ratio_range")
            ratio = max(ratios) if name == "RandomResize" and ratios else 1
            side = None if longest is None else math.ceil(longest * ratio)
        elif name in ("Mosaic", "CachedMosaic"):
            longest = _longest(step.get("img_scale", (640, 640)))
            side = None if longest is None else 2 * longest
        elif name == "RandomCrop" and step.get("crop_type", "absolute") == "absolute":
            crop = _longest(step.get("crop_size"))
            side = crop if side is None or crop is None else min(side, crop)
        elif name == "Pad" and side is not None:
            side = max(side, _longest(step.get("size")) or 0)
    return side


def _longest(scale: Any) -> int | None:
    """The longest side in a scale, or in a list of scales; None if it is neither."""
    if isinstance(scale, (int, float)):
        return int(scale)
    if not isinstance(scale, (list, tuple)):
        return None
    sides = [_longest(item) for item in scale]
    return max((side for side in sides if side is not None), default=None)
