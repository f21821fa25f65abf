"""The user's own pictures of classes put into any classifier's config."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mmengine.config import Config, ConfigDict

from detkit.config.data.override_datasets import replace_innermost

if TYPE_CHECKING:
    from detkit.data.classification.load_classification_data import ClassData, ClassSplit

_METRIC = "ClassificationMetric"
# What `ClassDataset` takes over from the dataset whose place it takes.
_KEPT = ("pipeline", "test_mode", "indices", "serialize_data", "lazy_init", "max_refetch")


def apply_class_data(cfg: Config, data: ClassData) -> None:
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
        made = partial(_class_dataset, split=data.splits[split], classes=tuple(data.classes))
        loader["dataset"] = replace_innermost(loader["dataset"], made,
                                              f"{split}_dataloader.dataset")
        if split != "train":
            key = f"{split}_evaluator"
            cfg[key] = _evaluator(cfg.get(key))


def _class_dataset(
    dataset: Mapping[str, Any], split: ClassSplit, classes: tuple[str, ...]
) -> ConfigDict:
    return ConfigDict(
        type="detkit.ClassDataset",
        data_root="",
        ann_file=str(split.list_file),
        data_prefix=dict(img=str(split.image_dir)),
        metainfo=dict(classes=classes),
        **{key: dataset[key] for key in _KEPT if key in dataset},
    )


def _evaluator(evaluator: Any) -> Any:
    """The config's, where it measures classes; a list keeps what else is in it."""
    given = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    if any(is_class_metric(metric) for metric in given):
        return evaluator
    return ConfigDict(type=f"detkit.{_METRIC}")


def is_class_metric(evaluator: Any) -> bool:
    """Whether ``evaluator`` is one `ClassificationMetric`."""
    return isinstance(evaluator, Mapping) and str(evaluator.get("type")).endswith(_METRIC)
