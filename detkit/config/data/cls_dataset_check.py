"""The pictures of classes that a classifier's config itself names: there, and of one class list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from detkit import registry as detkit_registry
from detkit.config.infer.infer_fields import get_dataset_classes
from detkit.config.validate.registry_lookup import resolve_class
from detkit.errors import ConfigError, DataError

_MAX_SHOWN = 5
_DATASET = "ClsDataset"
_DATA_HINT = "pass --data FOLDER (or --data sample) to use other data with this config"


def check_cls_datasets(cfg: Config, splits: Sequence[str]) -> list[str] | None:
    """Read each `ClsDataset` that ``cfg`` names for ``splits``, and tell their classes.

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
    scope = str(cfg.get("default_scope") or detkit_registry.SCOPE)
    datasets = [item for split in splits for item in _cls_datasets(cfg, split, scope)]
    missing = [
        f"{file} ({path})" for path, dataset_cfg in datasets for file in _missing_files(dataset_cfg)
    ]
    if missing:
        files = ", ".join(dict.fromkeys(missing))
        raise DataError(f"the config's data is not there: {files}", hint=_DATA_HINT)
    classes: list[str] | None = None
    for path, dataset_cfg in datasets:
        split_classes = get_dataset_classes(dataset_cfg, scope)
        if classes is not None and split_classes is not None and split_classes != classes:
            raise ConfigError(f"{path}.metainfo.classes: the splits name different classes",
                              got=format_names(split_classes),
                              expected=f"{format_names(classes)} as {datasets[0][0]} has",
                              )
        counts, found_classes = _count_images(dataset_cfg, classes, scope, path)
        classes = classes or found_classes
        if path.startswith("train"):
            empty = [name for name, count in zip(classes, counts) if not count]
            if empty:
                raise DataError(f"{path}: no picture to train on of {format_names(empty)}",
                                hint="add pictures of it, or take it out of the classes")
    return classes


def class_counts(cfg: Config, classes: Sequence[str] | None) -> list[int] | None:
    """Training pictures of each class in the config's own data; None where it has none."""
    scope = str(cfg.get("default_scope") or detkit_registry.SCOPE)
    total: Any = None
    for path, dataset_cfg in _cls_datasets(cfg, "train", scope):
        counts, _ = _count_images(dataset_cfg, classes, scope, path)
        total = counts if total is None else total + counts
    return None if total is None else [int(count) for count in total]


def set_metainfo_classes(cfg: Config, classes: Sequence[str] | None) -> None:
    """Name ``classes`` in every `ClsDataset` of ``cfg`` that names none.

    One that found its classes by its own folders would number them otherwise where a split lacks
    one of them.
    """
    if classes is None:
        return
    scope = str(cfg.get("default_scope") or detkit_registry.SCOPE)
    for split in ("train", "val", "test"):
        for _, dataset_cfg in _cls_datasets(cfg, split, scope):
            if get_dataset_classes(dataset_cfg, scope) is None:
                dataset_cfg["metainfo"] = {
                    **(dataset_cfg.get("metainfo") or {}), "classes": tuple(classes)
                }


def _cls_datasets(cfg: Config, split: str, scope: str) -> list[tuple[str, Any]]:
    loader = cfg.get(f"{split}_dataloader")
    if not isinstance(loader, Mapping):
        return []
    return [(path, dataset_cfg)
            for path, dataset_cfg in _datasets(loader.get("dataset"), f"{split}_dataloader.dataset")
            if getattr(resolve_class(dataset_cfg, detkit_registry.DATASETS, scope), "__name__", "")
            == _DATASET]


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


def _missing_files(dataset_cfg: Mapping[str, Any]) -> list[Path]:
    root = str(dataset_cfg.get("data_root") or "")
    prefix = dataset_cfg.get("data_prefix") or {}
    folder = prefix if isinstance(prefix, str) else prefix.get("img", "")
    required = [Path(root, str(folder or ""))]
    if dataset_cfg.get("ann_file"):
        required.append(Path(root, str(dataset_cfg["ann_file"])))
    return [file for file in required if "://" not in str(file) and not file.exists()]


def _count_images(
    dataset_cfg: Mapping[str, Any], classes: Sequence[str] | None, scope: str, path: str
) -> tuple[Any, list[str]]:
    """(K,) int64 pictures of each class, and the K classes."""
    unloaded_cfg = ConfigDict({**dataset_cfg, "pipeline": []})
    if classes is not None:
        unloaded_cfg["metainfo"] = {
            **(dataset_cfg.get("metainfo") or {}), "classes": tuple(classes)
        }
    with DefaultScope.overwrite_default_scope(scope):
        dataset = detkit_registry.DATASETS.build(unloaded_cfg)
    names = list(dataset.metainfo.get("classes") or ())
    if not names:
        raise DataError(f"{path}: its classes are not known", hint="name them in its metainfo")
    return np.bincount(dataset.get_gt_labels(), minlength=len(names)), names


def format_names(names: Sequence[str]) -> str:
    """The first few of ``names``, for a message."""
    shown = ", ".join(f"'{name}'" for name in names[:_MAX_SHOWN])
    return shown + (", ..." if len(names) > _MAX_SHOWN else "")
