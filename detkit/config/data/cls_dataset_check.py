"""Check the classification datasets that a config names, and read their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from detkit.config.data.datasets import (
    dataset_files,
    inner_datasets,
    iter_split_datasets,
    raise_missing_files,
)
from detkit.config.infer.infer_fields import get_dataset_classes
from detkit.config.validate.registry_lookup import is_subclass
from detkit.errors import ConfigError, DataError
from detkit.registry import DATASETS, get_default_scope
from detkit.text import list_names


def check_cls_datasets(cfg: Config, splits: Sequence[str]) -> list[str] | None:
    """Read each `ClsDataset` that ``cfg`` names for ``splits``, and return their classes.

    Args:
        cfg: not changed.
        splits: of 'train', 'val' and 'test'; the first that ``cfg`` has defines the classes.

    Returns:
        The class names, in label order; None if ``cfg`` names no `ClsDataset`.

    Raises:
        DataError: a list or folder does not exist or cannot be read, or a class has no training
            image.
        ConfigError: two splits name different classes.
    """
    scope = get_default_scope(cfg)
    datasets = _cls_datasets(cfg, splits, scope)
    raise_missing_files([(file, path) for path, dataset in datasets
                         for file in dataset_files(dataset)[::-1]
                         if file is not None and "://" not in str(file) and not file.exists()])
    classes: list[str] | None = None
    for path, dataset in datasets:
        split_classes = get_dataset_classes(dataset, scope)
        if classes is not None and split_classes is not None and split_classes != classes:
            raise ConfigError(f"{path}.metainfo.classes: the splits name different classes",
                              got=list_names(map(repr, split_classes)),
                              expected=f"{list_names(map(repr, classes))}, as {datasets[0][0]} has")
        counts, dataset_classes = _count_images(dataset, classes, scope, path)
        classes = classes or dataset_classes
        if path.startswith("train"):
            empty = [name for name, count in zip(classes, counts) if not count]
            if empty:
                raise DataError(f"{path}: no training image of {list_names(map(repr, empty))}",
                                hint="add images of these classes, or remove the classes")
    return classes


def class_counts(cfg: Config, classes: Sequence[str] | None) -> list[int] | None:
    """Return the number of training images of each class; None without a `ClsDataset`."""
    scope = get_default_scope(cfg)
    counts = [_count_images(dataset, classes, scope, path)[0]
              for path, dataset in _cls_datasets(cfg, ["train"], scope)]
    return [int(count) for count in sum(counts)] if counts else None


def set_metainfo_classes(cfg: Config, classes: Sequence[str] | None) -> None:
    """Set ``classes`` in every `ClsDataset` of ``cfg`` that names none.

    A dataset that reads its classes from its folders would number them differently if one of them
    is missing in a split.
    """
    if classes is None:
        return
    scope = get_default_scope(cfg)
    for _, dataset in _cls_datasets(cfg, ("train", "val", "test"), scope):
        if get_dataset_classes(dataset, scope) is None:
            dataset["metainfo"] = _metainfo_with_classes(dataset, classes)


def _cls_datasets(cfg: Config, splits: Sequence[str], scope: str) -> list[tuple[str, Any]]:
    from detkit.data.classification.cls_dataset import ClsDataset

    return [(path, dataset) for path, dataset in iter_split_datasets(cfg, splits)
            if not inner_datasets(dataset) and is_subclass(dataset, ClsDataset, DATASETS, scope)]


def _count_images(
    dataset: Mapping[str, Any], classes: Sequence[str] | None, scope: str, path: str
) -> tuple[Any, list[str]]:
    """(K,) int64 number of images of each class, and the K classes."""
    dataset_cfg = ConfigDict({**dataset, "pipeline": []})
    if classes is not None:
        dataset_cfg["metainfo"] = _metainfo_with_classes(dataset, classes)
    with DefaultScope.overwrite_default_scope(scope):
        built = DATASETS.build(dataset_cfg)
    names = list(built.metainfo.get("classes") or ())
    if not names:
        raise DataError(f"{path}: the classes of the dataset are unknown",
                        hint="add metainfo=dict(classes=...)")
    return np.bincount(built.get_gt_labels(), minlength=len(names)), names


def _metainfo_with_classes(dataset: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    return {**(dataset.get("metainfo") or {}), "classes": tuple(classes)}
