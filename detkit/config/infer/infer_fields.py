"""Numbers that a config need not say: classes from the data, channels and strides from before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry

from detkit import registry as ours
from detkit.config.infer.feature_info import backbone_levels, feature_channels
from detkit.config.infer.head_inputs import settle_readers
from detkit.config.infer.infer_classifier_fields import derive_classifier
from detkit.config.infer.mismatch import Clash, as_option, refuse
from detkit.config.infer.neck_outputs import neck_levels
from detkit.config.task import is_classifier
from detkit.config.validate.registry_lookup import class_of, registered
from detkit.config.validate.signatures import signature_of
from detkit.errors import ConfigError

__all__ = ["data_classes", "dataset_classes", "derive", "feature_channels"]

# Heads whose num_classes is not the number of the data's classes.
_OTHER_CLASSES = ("rpn_head", "semantic_head", "backbone", "reid", "track_head", "mask_iou_head")


def derive(
    cfg: Config, classes: Sequence[str] | None, class_counts: Sequence[int] | None = None
) -> None:
    """Fill in ``num_classes`` of every head, and what neck and heads read, where not given.

    The neck's channels are the backbone's; the heads' channels, levels and strides the neck's. A
    classifier's head reads the backbone, and its loss may want each class's count.

    Args:
        cfg: changed in place; what it gives stays.
        classes: the data's class names; None leaves ``num_classes`` alone.
        class_counts: training pictures of each class; None leaves ``class_counts`` alone.

    Raises:
        ConfigError: the config gives a number that contradicts the data, the backbone or the neck.
    """
    model = cfg.get("model")
    if not isinstance(model, Mapping):
        return
    scope = str(cfg.get("default_scope") or ours.SCOPE)
    if classes is not None:
        _derive_classes(model, list(classes), scope)
    if is_classifier(cfg):
        derive_classifier(model, class_counts, scope)
    else:
        _derive_channels(model, scope)


def data_classes(cfg: Config) -> list[str] | None:
    """The class names that the config's training (or else test) data has, without building it."""
    scope = str(cfg.get("default_scope") or ours.SCOPE)
    for key in ("train_dataloader", "test_dataloader", "val_dataloader"):
        loader = cfg.get(key)
        if isinstance(loader, Mapping) and isinstance(loader.get("dataset"), Mapping):
            return dataset_classes(loader["dataset"], scope)
    return None


def dataset_classes(dataset: Mapping[str, Any], scope: str) -> list[str] | None:
    """The class names that a dataset's config gives it, else its type's own; None if unknown.

    Raises:
        ConfigError: the classes are one string: ``('cat')`` where ``('cat',)`` is meant.
    """
    metainfo = dataset.get("metainfo")
    if isinstance(metainfo, Mapping) and isinstance(metainfo.get("classes"), str):
        raise ConfigError("the dataset's metainfo.classes", got=f"the text '{metainfo['classes']}'",
                          expected=f"a tuple of names, such as ('{metainfo['classes']}',)")
    if isinstance(metainfo, Mapping) and isinstance(metainfo.get("classes"), (list, tuple)):
        return list(metainfo["classes"])
    inner = dataset.get("dataset")
    if inner is None and isinstance(dataset.get("datasets"), (list, tuple)):
        inner = next(iter(dataset["datasets"]), None)
    if isinstance(inner, Mapping):
        return dataset_classes(inner, scope)
    kind = dataset.get("type")
    built = registered(ours.DATASETS, kind, scope) if isinstance(kind, str) else kind
    classes = getattr(built, "METAINFO", {}).get("classes")
    return list(classes) if isinstance(classes, (list, tuple)) else None


def _derive_classes(model: Mapping[str, Any], classes: list[str], scope: str) -> None:
    wrong = []
    for path, part in _built_parts(model, "model"):
        if any(key in path for key in _OTHER_CLASSES) or "head" not in path:
            continue
        given = part.get("num_classes")
        if given is None:
            if "num_classes" in _names(part, ours.MODELS, scope):
                part["num_classes"] = len(classes)
        elif given != len(classes):
            wrong.append((path, given))
    if wrong:
        paths = [as_option(path) + ".num_classes" for path, _ in wrong]
        some = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
        raise ConfigError(
            f"{wrong[0][0]}.num_classes: the head and the data contradict each other",
            got=f"{wrong[0][1]} in the config",
            expected=f"{len(classes)} as the data has ({some})",
            do="leave num_classes out of the config, or pass --cfg-options "
            + " ".join(f"{path}={len(classes)}" for path in paths),
        )


def _built_parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        if "type" in value:
            yield path, value
        for name, item in value.items():
            yield from _built_parts(item, f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _built_parts(item, f"{path}[{index}]")


def _names(part: Mapping[str, Any], registry: Registry, scope: str) -> frozenset[str]:
    target = class_of(part, registry, scope)
    return signature_of(target).names if target is not None else frozenset()


def _derive_channels(model: Mapping[str, Any], scope: str) -> None:
    """Settle what the neck takes from the backbone, and what reads the neck takes from it."""
    backbone, neck = model.get("backbone"), model.get("neck")
    if not isinstance(backbone, Mapping) or "type" not in backbone:
        return
    listed = isinstance(neck, (list, tuple))
    necks: list[Any] = list(neck) if isinstance(neck, (list, tuple)) else [neck]
    if not necks or not isinstance(necks[0], Mapping) or "type" not in necks[0]:
        return
    takes = "in_channels" in _names(necks[0], ours.MODELS, scope)
    build = takes and necks[0].get("in_channels") is None
    given_by = backbone_levels(backbone, scope, build)
    if takes and given_by is not None:
        _settle_neck(necks[0], "model.neck[0]" if listed else "model.neck", given_by.channels)
    levels = neck_levels(necks, None if given_by is None else given_by.strides, scope)
    refuse(settle_readers(model, levels, scope), "head", "neck")


def _settle_neck(neck: Any, path: str, channels: tuple[int, ...]) -> None:
    given = neck.get("in_channels")
    if given is None:
        neck["in_channels"] = list(channels)
        return
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    # Some necks read fewer maps than the backbone gives, others one.
    if not all(number in channels for number in listed):
        refuse([Clash(f"{path}.in_channels", given, list(channels))], "neck", "backbone")
