"""The pictures of classes that a classifier's config itself names: there, and of one class list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from detkit import registry as ours
from detkit.config.infer.infer_fields import dataset_classes
from detkit.config.validate.registry_lookup import class_of
from detkit.errors import ConfigError, DataError

_SHOWN = 5
_DATASET = "ClassDataset"
_TO_PASS = "pass --data FOLDER (or --data sample) to use other data with this config"


def check_own_class_data(cfg: Config, splits: Sequence[str]) -> list[str] | None:
    """Read each `ClassDataset` that ``cfg`` names for ``splits``, and tell their classes.

    Args:
        cfg: not changed.
        splits: of 'train', 'val' and 'test'; the first that ``cfg`` has decides the classes.

    Returns:
        the class names, in the order of the labels; None when ``cfg`` has datasets of another
        kind alone.

    Raises:
        DataError: a list or folder is not there or cannot be read, or a class has no picture to
            be trained on.
        ConfigError: two splits name different classes.
    """
    scope = str(cfg.get("default_scope") or ours.SCOPE)
    named = [item for split in splits for item in _leaves(cfg, split, scope)]
    missing = [f"{place} ({path})" for path, leaf in named for place in _missing(leaf)]
    if missing:
        places = ", ".join(dict.fromkeys(missing))
        raise DataError(f"the config's data is not there: {places}", do=_TO_PASS)
    classes: list[str] | None = None
    for path, leaf in named:
        own = dataset_classes(leaf, scope)
        if classes is not None and own is not None and own != classes:
            raise ConfigError(
                f"{path}.metainfo.classes: the splits name different classes",
                got=some_names(own), expected=f"{some_names(classes)} as {named[0][0]} has",
            )
        counts, found = _counted(leaf, classes, scope, path)
        classes = classes or found
        if path.startswith("train"):
            empty = [name for name, count in zip(classes, counts) if not count]
            if empty:
                raise DataError(f"{path}: no picture to train on of {some_names(empty)}",
                                do="add pictures of it, or take it out of the classes")
    return classes


def own_class_counts(cfg: Config, classes: Sequence[str] | None) -> list[int] | None:
    """Training pictures of each class in the config's own data; None where it has none."""
    scope = str(cfg.get("default_scope") or ours.SCOPE)
    total: Any = None
    for path, leaf in _leaves(cfg, "train", scope):
        counts, _ = _counted(leaf, classes, scope, path)
        total = counts if total is None else total + counts
    return None if total is None else [int(count) for count in total]


def give_classes(cfg: Config, classes: Sequence[str] | None) -> None:
    """Name ``classes`` in every `ClassDataset` of ``cfg`` that names none.

    One that found its classes by its own folders would number them otherwise where a split lacks
    one of them.
    """
    if classes is None:
        return
    scope = str(cfg.get("default_scope") or ours.SCOPE)
    for split in ("train", "val", "test"):
        for _, leaf in _leaves(cfg, split, scope):
            if dataset_classes(leaf, scope) is None:
                leaf["metainfo"] = {**(leaf.get("metainfo") or {}), "classes": tuple(classes)}


def _leaves(cfg: Config, split: str, scope: str) -> list[tuple[str, Any]]:
    loader = cfg.get(f"{split}_dataloader")
    if not isinstance(loader, Mapping):
        return []
    return [(path, leaf) for path, leaf in _datasets(loader.get("dataset"),
                                                     f"{split}_dataloader.dataset")
            if getattr(class_of(leaf, ours.DATASETS, scope), "__name__", "") == _DATASET]


def _datasets(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The innermost datasets in ``value``, with their paths."""
    if isinstance(value, Mapping):
        inner = [name for name in ("dataset", "datasets") if name in value]
        if not inner and "type" in value:
            yield path, value
        for name in inner:
            yield from _datasets(value[name], f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _datasets(item, f"{path}[{index}]")


def _missing(leaf: Mapping[str, Any]) -> list[Path]:
    root = str(leaf.get("data_root") or "")
    prefix = leaf.get("data_prefix") or {}
    folder = prefix if isinstance(prefix, str) else prefix.get("img", "")
    needed = [Path(root, str(folder or ""))]
    if leaf.get("ann_file"):
        needed.append(Path(root, str(leaf["ann_file"])))
    return [place for place in needed if "://" not in str(place) and not place.exists()]


def _counted(
    leaf: Mapping[str, Any], classes: Sequence[str] | None, scope: str, path: str
) -> tuple[Any, list[str]]:
    """(K,) int64 pictures of each class, and the K classes."""
    plain = ConfigDict({**leaf, "pipeline": []})
    if classes is not None:
        plain["metainfo"] = {**(leaf.get("metainfo") or {}), "classes": tuple(classes)}
    with DefaultScope.overwrite_default_scope(scope):
        dataset = ours.DATASETS.build(plain)
    names = list(dataset.metainfo.get("classes") or ())
    if not names:
        raise DataError(f"{path}: its classes are not known", do="name them in its metainfo")
    return np.bincount(dataset.labels(), minlength=len(names)), names


def some_names(names: Sequence[str]) -> str:
    """The first few of ``names``, for a message."""
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    return shown + (", ..." if len(names) > _SHOWN else "")
