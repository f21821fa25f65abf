"""Check transforms that mix several images: mosaic, mixup, copy-paste."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from detkit.config.data.datasets import iter_datasets, iter_split_datasets
from detkit.config.validate.registry_lookup import is_subclass, resolve_class
from detkit.errors import ConfigError
from detkit.registry import DATASETS, TRANSFORMS, get_default_scope
from detkit.text import name_hint
from detkit.walk import Node, walk, walk_dicts

logger = logging.getLogger(__name__)

_WITHOUT_EFFECT = {"ColorTransform": "Color, Brightness, Contrast or PhotoMetricDistortion",
                   "GeomTransform": "Rotate, ShearX, ShearY, TranslateX or TranslateY"}


def check_mixing(cfg: Config, has_masks: bool = True) -> None:
    """Check the training pipelines of a config: each step gets the images and masks it needs.

    Args:
        cfg: not changed.
        has_masks: False if the data has boxes only, as with ``--data``.

    Raises:
        ConfigError: a transform that mixes images is not a step of a MultiImageMixDataset,
            ``skip_type_keys`` has a name that no step has, CopyPaste or LoadAnnotations needs
            masks that are not there, or a step is a base class that changes nothing.
    """
    scope = get_default_scope(cfg)
    for path, dataset in iter_split_datasets(cfg, ["train"]):
        mixes = _is_mix_dataset(dataset, scope)
        steps = dataset.get("pipeline")
        loads_masks = has_masks and _loads_masks(dataset)
        for node, step_class in _steps(steps, f"{path}.pipeline", scope):
            _check_step(node, step_class, mixes, loads_masks, has_masks)
        if mixes:
            _check_skipped(dataset, path, steps)
    datasets = [dataset for _, dataset in iter_split_datasets(cfg, ["train"])]
    mixes = any(_is_mix_dataset(dataset, scope) for dataset in datasets)
    loads_masks = has_masks and any(map(_loads_masks, datasets))
    for index, hook in enumerate(cfg.get("custom_hooks") or []):
        if isinstance(hook, Mapping) and "switch_pipeline" in hook:
            path = f"custom_hooks[{index}].switch_pipeline"
            for node, step_class in _steps(hook["switch_pipeline"], path, scope):
                _check_step(node, step_class, mixes, loads_masks or has_masks and _has_masks(
                    hook["switch_pipeline"]), has_masks)


def cached_mixing_steps(cfg: Config) -> list[str]:
    """Return the names of the training steps that mix in images of a cache, each once."""
    from mmdet.datasets.transforms import CachedMixUp, CachedMosaic

    scope = get_default_scope(cfg)
    return sorted({str(node.value["type"])
                   for path, dataset in iter_split_datasets(cfg, ["train"])
                   for node, step_class in _steps(dataset.get("pipeline"), path, scope)
                   if issubclass(step_class, (CachedMixUp, CachedMosaic))})


def _steps(pipeline: Any, path: str, scope: str) -> Iterator[tuple[Node, Any]]:
    """Every step of ``pipeline``, nested ones too, whose class is known, with that class."""
    for node in walk(pipeline, path):
        if isinstance(node.value, Mapping) and "type" in node.value:
            step_class = resolve_class(node.value, TRANSFORMS, scope)
            if inspect.isclass(step_class):
                yield node, step_class


def _check_step(
    node: Node, step_class: Any, in_mix_dataset: bool, loads_masks: bool, has_masks: bool
) -> None:
    from mmdet.datasets.transforms import CachedMixUp, CachedMosaic, CopyPaste, LoadAnnotations

    name = step_class.__name__
    if name in _WITHOUT_EFFECT and step_class.__module__.startswith("mmdet."):
        raise ConfigError(f"{node.path}: {name} changes nothing: it is a base class",
                          hint=f"use {_WITHOUT_EFFECT[name]}")
    if issubclass(step_class, LoadAnnotations) and node.value.get("with_mask") and not has_masks:
        raise ConfigError(f"{node.path}.with_mask", got="True and --data, which gives boxes only",
                          expected="with_mask=False", hint="paste boxes with CopyPasteBoxes")
    if (issubclass(step_class, CopyPaste) and not loads_masks
            and not node.value.get("paste_by_box")):
        raise ConfigError(f"{node.path}: CopyPaste needs instance masks", got="boxes",
                          hint="use CopyPasteBoxes, which pastes the boxes' pixels; with masks "
                          "in the annotations, LoadAnnotations with with_mask=True")
    if name == "CopyPasteBoxes" and loads_masks:
        raise ConfigError(f"{node.path}: CopyPasteBoxes keeps no instance masks",
                          got="LoadAnnotations with with_mask=True", hint="use CopyPaste")
    library = step_class.__module__.partition(".")[0]
    # Not hasattr: mmcv's decorator of the method fails on the class.
    mixes = any("get_indexes" in vars(base) for base in step_class.__mro__)
    if library not in ("mmdet", "detkit") or not mixes:
        return
    # They mix in images of a cache of their own; others need the dataset to load them.
    is_cached = issubclass(step_class, (CachedMixUp, CachedMosaic))
    if is_cached and in_mix_dataset:
        logger.warning("%s: %s needs no MultiImageMixDataset, which loads images for it that it "
                       "does not use", node.path, name)
    elif not is_cached and not in_mix_dataset:
        hint = "wrap the dataset: dict(type='MultiImageMixDataset', dataset=..., pipeline=[...])"
        raise ConfigError(f"{node.path}: {name} mixes several images", hint=hint,
                          expected="a step in the pipeline of a MultiImageMixDataset")
    elif not is_cached and node.parent is not None:
        raise ConfigError(f"{node.path}: {name} is inside of another step",
                          expected="a step of the pipeline itself", hint="use its argument prob")


def _check_skipped(dataset: Mapping[str, Any], path: str, steps: Any) -> None:
    types = [str(step.get("type")) for step in steps or () if isinstance(step, Mapping)]
    for name in dataset.get("skip_type_keys") or ():
        if name not in types:
            raise ConfigError(f"{path}.skip_type_keys: '{name}' is the type of no step",
                              expected=f"one of {', '.join(types)}", hint=name_hint(name, types))


def _is_mix_dataset(dataset: Any, scope: str) -> bool:
    from mmdet.datasets import MultiImageMixDataset

    return is_subclass(dataset, MultiImageMixDataset, DATASETS, scope)


def _loads_masks(dataset: Mapping[str, Any]) -> bool:
    """Whether a dataset or one inside of it loads instance masks."""
    return any(_has_masks(part.get("pipeline")) for _, part in iter_datasets(dataset, ""))


def _has_masks(pipeline: Any) -> bool:
    """Whether a step of a pipeline loads instance masks."""
    return any(step.get("with_mask") for _, step in walk_dicts(pipeline))
