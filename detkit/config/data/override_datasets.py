"""The user's own data put into any config."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mmengine.config import Config, ConfigDict

from detkit.errors import ConfigError

if TYPE_CHECKING:
    from detkit.data.detection.load_detection_data import DataSplit, DetectionData

logger = logging.getLogger(__name__)

_COCO_METRICS = ("CocoBBoxMetric", "CocoMetric")
# What any COCO dataset takes over from the dataset whose place it takes.
_KEPT_KEYS = ("pipeline", "backend_args", "filter_cfg", "test_mode", "indices", "serialize_data",
              "lazy_init", "max_refetch")
_FILTER_KEYS = ("filter_empty_gt", "min_size")


def override_datasets(cfg: Config, data: DetectionData) -> None:
    """Point every split of ``cfg`` at ``data``: files, folders, classes and evaluators.

    A dataset inside others (repeated, balanced, mixed) is replaced where it stands; of several
    that are concatenated the first one's pipeline stays.

    Raises:
        ConfigError: the config has no train pipeline to keep.
    """
    classes = tuple(data.classes)
    for split in ("train", "val", "test"):
        loader = cfg.get(f"{split}_dataloader")
        if loader is None or split not in data.splits:
            continue
        data_split = data.splits[split]
        loader["dataset"] = replace_innermost_dataset(
            loader["dataset"], partial(_coco_dataset_cfg, split=data_split, classes=classes),
            f"{split}_dataloader.dataset",
        )
        if split != "train":
            key = f"{split}_evaluator"
            cfg[key] = _override_evaluator(cfg.get(key), data_split)


def replace_innermost_dataset(
    dataset: Mapping[str, Any], make_dataset: Callable[[Mapping[str, Any]], ConfigDict], path: str
) -> ConfigDict:
    """The same wrappers (repeated, balanced, mixed) around another dataset.

    Args:
        dataset: its config.
        make_dataset: gives the new innermost dataset for the old one, of several joined for the
            first.
        path: of ``dataset`` in the config, for messages.

    Raises:
        ConfigError: the innermost dataset has no pipeline.
    """
    inner = dataset.get("dataset")
    if isinstance(inner, Mapping):
        updated = ConfigDict(dataset)
        updated["dataset"] = replace_innermost_dataset(inner, make_dataset, f"{path}.dataset")
        return updated
    datasets = dataset.get("datasets")
    if isinstance(datasets, (list, tuple)) and datasets:
        logger.info("%s: one dataset stands in for the %d that the config joins",
                    path, len(datasets))
        return replace_innermost_dataset(datasets[0], make_dataset, f"{path}.datasets[0]")
    if "pipeline" not in dataset:
        raise ConfigError(f"{path} has no pipeline", expected="a pipeline to load the data with")
    return make_dataset(dataset)


def _coco_dataset_cfg(dataset: Mapping[str, Any], split: DataSplit,
                      classes: tuple[str, ...]) -> ConfigDict:
    kept = {key: dataset[key] for key in _KEPT_KEYS if key in dataset}
    if isinstance(kept.get("filter_cfg"), Mapping):
        kept["filter_cfg"] = {k: v for k, v in kept["filter_cfg"].items() if k in _FILTER_KEYS}
    return ConfigDict(
        type="CocoDataset",
        data_root="",
        ann_file=str(split.annotation_file),
        data_prefix=dict(img=str(split.image_dir)),
        metainfo=dict(classes=classes),
        **kept,
    )


def _override_evaluator(evaluator: Any, split: DataSplit) -> ConfigDict:
    evaluators = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    for metric in evaluators:
        if isinstance(metric, Mapping) and metric.get("type") in _COCO_METRICS:
            updated = ConfigDict(metric)
            updated["ann_file"] = str(split.annotation_file)
            if updated["type"] == "CocoMetric":
                updated["metric"] = "bbox"
            return updated
    return ConfigDict(type="detkit.CocoBBoxMetric", ann_file=str(split.annotation_file))
