"""The user's own pictures of classes put into any classifier's config."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mmengine.config import Config, ConfigDict

from detkit.config.data.override_datasets import replace_innermost_dataset

if TYPE_CHECKING:
    from detkit.data.classification.load_classification_data import (
        ClassificationData,
        ClassificationSplit,
    )

_METRIC = "ClassificationMetric"
# What `ClsDataset` takes over from the dataset whose place it takes.
_KEPT_KEYS = ("pipeline", "test_mode", "indices", "serialize_data", "lazy_init", "max_refetch")


def override_cls_datasets(cfg: Config, data: ClassificationData) -> None:
    """Point every split of ``cfg`` at ``data``: lists, folders, classes and evaluators.

    A dataset inside others (repeated, balanced) is replaced where it stands; of several that are
    concatenated the first one's pipeline stays.

    Raises:
        ConfigError: a dataset of the config has no pipeline to keep.
    """
    for split in ("train", "val", "test"):
        loader = cfg.get(f"{split}_dataloader")
        if loader is None or split not in data.splits:
            continue
        make_dataset = partial(_cls_dataset_cfg, split=data.splits[split],
                               classes=tuple(data.classes))
        loader["dataset"] = replace_innermost_dataset(loader["dataset"], make_dataset,
                                                      f"{split}_dataloader.dataset")
        if split != "train":
            key = f"{split}_evaluator"
            cfg[key] = _override_evaluator(cfg.get(key))


def _cls_dataset_cfg(
    dataset: Mapping[str, Any], split: ClassificationSplit, classes: tuple[str, ...]
) -> ConfigDict:
    return ConfigDict(
        type="detkit.ClsDataset",
        data_root="",
        ann_file=str(split.annotation_file),
        data_prefix=dict(img=str(split.image_dir)),
        metainfo=dict(classes=classes),
        **{key: dataset[key] for key in _KEPT_KEYS if key in dataset},
    )


def _override_evaluator(evaluator: Any) -> Any:
    """The config's, where it measures classes; a list keeps what else is in it."""
    evaluators = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    if any(is_classification_metric(metric) for metric in evaluators):
        return evaluator
    return ConfigDict(type=f"detkit.{_METRIC}")


def is_classification_metric(evaluator: Any) -> bool:
    """Whether ``evaluator`` is one `ClassificationMetric`."""
    return isinstance(evaluator, Mapping) and str(evaluator.get("type")).endswith(_METRIC)
