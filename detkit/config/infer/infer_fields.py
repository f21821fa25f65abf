"""Infer the fields that a config omits: classes from the data, channels and strides."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import Registry

from detkit import registry as detkit_registry
from detkit.config.data.datasets import unwrap_dataset
from detkit.config.infer.feature_info import get_backbone_feature_info, get_feature_channels
from detkit.config.infer.fixed_image_size import infer_img_size
from detkit.config.infer.head_inputs import infer_head_inputs, lacks_strides
from detkit.config.infer.infer_classifier_fields import infer_classifier_fields
from detkit.config.infer.infer_weights import infer_published_weights
from detkit.config.infer.mismatch import Mismatch, raise_mismatches, to_option_key
from detkit.config.infer.neck_feature_info import get_neck_feature_info, measure_neck
from detkit.config.infer.neck_for_levels import fit_neck_to_levels
from detkit.config.task import is_classifier
from detkit.config.validate.registry_lookup import resolve_class
from detkit.config.validate.signatures import get_signature
from detkit.errors import ConfigError
from detkit.text import list_names
from detkit.walk import walk_dicts

__all__ = ["get_config_classes", "get_dataset_classes", "infer_fields", "get_feature_channels"]

# Components whose num_classes is not the number of classes of the dataset.
_IGNORED_HEADS = ("rpn_head", "semantic_head", "backbone", "reid", "track_head", "mask_iou_head")


def infer_fields(
    cfg: Config, classes: Sequence[str] | None, class_counts: Sequence[int] | None = None
) -> None:
    """Set ``num_classes``, channels, levels, strides and input statistics that the config omits.

    What follows from a backbone's published weights comes first: ``infer_published_weights``.
    The neck's channels come from the backbone; the heads' channels, levels and strides from the
    neck. A classifier's head reads the backbone, and its loss may need the class counts.

    Args:
        cfg: changed in place; values that it has stay.
        classes: the class names of the dataset; None leaves ``num_classes`` unchanged.
        class_counts: number of training images of each class; None leaves ``class_counts``
            unchanged.

    Raises:
        ConfigError: a value in the config does not match the dataset, the backbone or the neck.
    """
    model = cfg.get("model")
    if not isinstance(model, Mapping):
        return
    scope = detkit_registry.get_default_scope(cfg)
    infer_published_weights(cfg, scope)
    if classes is not None:
        _infer_num_classes(model, list(classes), scope)
    if is_classifier(cfg):
        infer_classifier_fields(model, class_counts, scope)
    else:
        _infer_channels(cfg, model, scope)


def get_config_classes(cfg: Config) -> list[str] | None:
    """Return the class names of the train, else test, else val dataset, without building it."""
    scope = detkit_registry.get_default_scope(cfg)
    for key in ("train_dataloader", "test_dataloader", "val_dataloader"):
        loader = cfg.get(key)
        if isinstance(loader, Mapping) and isinstance(loader.get("dataset"), Mapping):
            return get_dataset_classes(loader["dataset"], scope)
    return None


def get_dataset_classes(dataset: Mapping[str, Any], scope: str) -> list[str] | None:
    """Return the class names in a dataset's config, else those of its type; None if unknown.

    Raises:
        ConfigError: the classes are a string: ``('cat')`` instead of ``('cat',)``.
    """
    innermost: Mapping[str, Any] = dataset
    for innermost in unwrap_dataset(dataset):
        metainfo = innermost.get("metainfo")
        classes = metainfo.get("classes") if isinstance(metainfo, Mapping) else None
        if isinstance(classes, str):
            raise ConfigError("the dataset's metainfo.classes", got=f"the string '{classes}'",
                              expected=f"a tuple of names, such as ('{classes}',)")
        if isinstance(classes, (list, tuple)):
            return list(classes)
    dataset_class = resolve_class(innermost, detkit_registry.DATASETS, scope)
    classes = getattr(dataset_class, "METAINFO", {}).get("classes")
    return list(classes) if isinstance(classes, (list, tuple)) else None


def _infer_num_classes(model: Mapping[str, Any], classes: list[str], scope: str) -> None:
    conflicts = []
    for path, component in walk_dicts(model, "model"):
        is_head = "head" in path and not any(key in path for key in _IGNORED_HEADS)
        if "type" not in component or not is_head:
            continue
        configured = component.get("num_classes")
        if configured is None:
            if "num_classes" in _argument_names(component, detkit_registry.MODELS, scope):
                component["num_classes"] = len(classes)
        elif configured != len(classes):
            conflicts.append((path, configured))
    if conflicts:
        paths = [to_option_key(path) + ".num_classes" for path, _ in conflicts]
        raise ConfigError(
            f"{conflicts[0][0]}.num_classes: the head does not match the dataset",
            got=f"{conflicts[0][1]} in the config",
            expected=f"{len(classes)} as the dataset has ({list_names(classes)})",
            hint="omit num_classes in the config, or pass --cfg-options "
            + " ".join(f"{path}={len(classes)}" for path in paths),
        )


def _argument_names(component: Mapping[str, Any], registry: Registry, scope: str) -> frozenset[str]:
    target = resolve_class(component, registry, scope)
    return get_signature(target).names if target is not None else frozenset()


def _infer_channels(cfg: Config, model: Mapping[str, Any], scope: str) -> None:
    """Infer the neck's inputs from the backbone, and the heads' inputs from the neck."""
    backbone, neck = model.get("backbone"), model.get("neck")
    if not isinstance(backbone, MutableMapping) or "type" not in backbone:
        return
    listed = isinstance(neck, (list, tuple))
    necks: list[Any] = list(neck) if isinstance(neck, (list, tuple)) else [neck]
    if not necks or not isinstance(necks[0], MutableMapping) or "type" not in necks[0]:
        return
    has_in_channels = "in_channels" in _argument_names(necks[0], detkit_registry.MODELS, scope)
    needs_strides = lacks_strides(model)
    build = needs_strides or has_in_channels and necks[0].get("in_channels") is None
    backbone_info = get_backbone_feature_info(backbone, scope, build, needs_strides)
    neck_path = "model.neck[0]" if listed else "model.neck"
    if backbone_info is not None:
        changes = [infer_img_size(cfg, backbone, backbone_info, scope),
                   fit_neck_to_levels(backbone, necks[0], neck_path, backbone_info, scope)]
        if any(changes):
            print_log(f"{backbone['type']} '{backbone.get('name')}', where the config leaves it "
                      f"open: {'; '.join(filter(None, changes))}", "current", logging.INFO)
        if has_in_channels:
            _infer_neck_channels(necks[0], neck_path, backbone_info.channels)
    neck_info = get_neck_feature_info(necks, backbone_info, scope)
    if needs_strides and neck_info.strides is None and backbone_info is not None:
        neck_info = measure_neck(necks, backbone_info, scope) or neck_info
    raise_mismatches(infer_head_inputs(model, neck_info, scope), "head", "neck")


def _infer_neck_channels(neck: Any, path: str, channels: tuple[int, ...]) -> None:
    configured = neck.get("in_channels")
    if configured is None:
        neck["in_channels"] = list(channels)
        return
    listed = list(configured) if isinstance(configured, (list, tuple)) else [configured]
    # Some necks read only some of the backbone's feature maps, or one.
    if not all(channel in channels for channel in listed):
        raise_mismatches([Mismatch(f"{path}.in_channels", configured, list(channels))], "neck",
                         "backbone")
