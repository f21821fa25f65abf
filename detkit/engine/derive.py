"""Numbers that a config need not say: classes from the data, channels from the backbone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import Registry

from detkit import registry as ours
from detkit.engine.places import registered
from detkit.engine.signatures import signature_of
from detkit.errors import ConfigError

logger = logging.getLogger(__name__)

# Heads whose num_classes is not the number of the data's classes.
_OTHER_CLASSES = ("rpn_head", "semantic_head", "backbone", "reid", "track_head", "mask_iou_head")
# Parts whose channels can only be those of the neck.
_READ_THE_NECK = frozenset({
    ("rpn_head", "RPNHead"), ("roi_head.bbox_roi_extractor", "SingleRoIExtractor"),
})


def derive(cfg: Config, classes: Sequence[str] | None) -> None:
    """Fill in ``num_classes`` of every head and ``in_channels`` of the neck where not given.

    Args:
        cfg: changed in place; what it gives stays.
        classes: the data's class names; None leaves ``num_classes`` alone.

    Raises:
        ConfigError: the config gives a number that contradicts the data or the backbone.
    """
    model = cfg.get("model")
    if not isinstance(model, Mapping):
        return
    scope = str(cfg.get("default_scope") or ours.SCOPE)
    if classes is not None:
        _derive_classes(model, list(classes), scope)
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
        paths = [_as_option(path) + ".num_classes" for path, _ in wrong]
        some = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
        raise ConfigError(
            f"{wrong[0][0]}.num_classes: the head and the data contradict each other",
            got=f"{wrong[0][1]} in the config",
            expected=f"{len(classes)} as the data has ({some})",
            do="leave num_classes out of the config, or pass --cfg-options "
            + " ".join(f"{path}={len(classes)}" for path in paths),
        )


def _as_option(path: str) -> str:
    return path.replace("[", ".").replace("]", "")


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
    kind = part["type"]
    target = registered(registry, kind, scope) if isinstance(kind, str) else kind
    return signature_of(target).names if target is not None else frozenset()


def _derive_channels(model: Mapping[str, Any], scope: str) -> None:
    backbone, neck = model.get("backbone"), model.get("neck")
    if not isinstance(backbone, Mapping):
        return
    necks = list(neck) if isinstance(neck, (list, tuple)) else [neck]
    first: Any = necks[0] if necks and isinstance(necks[0], Mapping) else None
    if first is not None and "in_channels" in _names(first, ours.MODELS, scope):
        given = first.get("in_channels")
        channels = feature_channels(backbone, scope, build=given is None)
        if channels is not None and given is None:
            first["in_channels"] = list(channels)
        elif channels is not None and isinstance(given, (list, tuple)):
            if not set(given) <= set(channels):
                where = "model.neck[0]" if isinstance(neck, (list, tuple)) else "model.neck"
                raise ConfigError(
                    f"{where}.in_channels: the neck and the backbone contradict each other",
                    got=f"{list(given)} in the config",
                    expected=f"{list(channels)} as {backbone['type']} gives",
                    do="leave in_channels out, and it is taken from the backbone",
                )
    last = necks[-1] if necks and isinstance(necks[-1], Mapping) else None
    if last is not None and isinstance(last.get("out_channels"), int):
        _settle_heads(model, last["out_channels"], scope)


def _settle_heads(model: Mapping[str, Any], channels: int, scope: str) -> None:
    """Give the heads that read the neck its channels, where they do not say theirs.

    Raises:
        ConfigError: one that reads the neck directly says another number.
    """
    roi_head = model.get("roi_head") or {}
    wanted: list[tuple[Any, str, str]] = [
        (model.get("rpn_head"), "rpn_head", "in_channels"),
        (model.get("bbox_head"), "bbox_head", "in_channels"),
        (roi_head.get("bbox_roi_extractor"), "roi_head.bbox_roi_extractor", "out_channels"),
        (roi_head.get("bbox_head"), "roi_head.bbox_head", "in_channels"),
    ]
    for parts, place, name in wanted:
        for part in parts if isinstance(parts, (list, tuple)) else [parts]:
            if not isinstance(part, Mapping) or "type" not in part:
                continue
            given = part.get(name)
            if given is None and name in _names(part, ours.MODELS, scope):
                part[name] = channels  # type: ignore[index]
            # Other extractors may join levels, and a RoI head then reads more than the neck gives.
            elif given != channels and (place, part["type"]) in _READ_THE_NECK:
                raise ConfigError(
                    f"model.{place}.{name}: the head and the neck contradict each other",
                    got=f"{given} in the config", expected=f"{channels} as model.neck gives",
                    do=f"leave {name} out, and it is taken from the neck",
                )


def feature_channels(
    backbone: Mapping[str, Any], scope: str = ours.SCOPE, build: bool = True
) -> tuple[int, ...] | None:
    """Channels of each level that a backbone gives, finest first; None when not known.

    A backbone that does not say is built and run on torch's meta device, where tensors have a
    shape and no content; one that cannot be, on the CPU.

    Args:
        backbone: its config.
        scope: the config's default scope.
        build: False asks only backbones of detkit, which know without a forward pass.
    """
    kind = backbone["type"]
    target = registered(ours.MODELS, kind, scope) if isinstance(kind, str) else kind
    if target is None or not (build or hasattr(target, "feature_channels")
                              or target.__module__.startswith("detkit.")):
        return None
    arguments = ConfigDict({k: v for k, v in backbone.items() if k not in ("type", "init_cfg")})
    for device in ("meta", "cpu"):
        try:
            return _told_by(target, arguments, device)
        except Exception as error:
            # Any backbone, of anyone, may be asked; one that fails in earnest fails again when
            # the model is built, and says why.
            logger.debug("%s does not tell its channels on %s", kind, device, exc_info=error)
    return None


def _told_by(target: Any, arguments: Mapping[str, Any], device: str) -> tuple[int, ...]:
    import torch

    with torch.device(device), torch.no_grad():
        built = target(**arguments)
        published = getattr(built, "feature_channels", None)
        if published is not None:
            return tuple(int(channels) for channels in published)
        built.eval()  # Not chained: train() of mmdet's backbones returns nothing.
        levels = built(torch.zeros(1, 3, 128, 128))
    return tuple(int(level.shape[1]) for level in levels)
