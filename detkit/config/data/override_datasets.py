"""``--data``: the user's dataset in place of the config's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mmengine.config import Config, ConfigDict

from detkit.config.data.datasets import replace_innermost_dataset
from detkit.config.validate.registry_lookup import is_subclass, resolve_class
from detkit.registry import METRICS, get_default_scope

if TYPE_CHECKING:
    from detkit.data.classification.load_classification_data import (
        ClassificationData,
        ClassificationSplit,
    )
    from detkit.data.detection.load_detection_data import DataSplit, DetectionData

# Arguments of the config's dataset that the new one keeps.
_CLS_KEYS = ("pipeline", "test_mode", "indices", "serialize_data", "lazy_init", "max_refetch")
_COCO_KEYS = ("pipeline", "backend_args", "filter_cfg", *_CLS_KEYS[1:])
_KEPT_FILTER_KEYS = ("filter_empty_gt", "min_size")


def override_datasets(cfg: Config, data: DetectionData) -> None:
    """Replace the datasets and evaluators of a detector's config, for every split of ``data``.

    A wrapped dataset (repeated, balanced, mixed) is replaced inside its wrapper. Concatenated
    datasets become one, with the pipeline of the first.

    Raises:
        ConfigError: a dataset of the config has no pipeline.
    """
    _override_splits(cfg, data.splits, partial(_coco_dataset_cfg, classes=tuple(data.classes)),
                     _override_coco_evaluator)


def override_cls_datasets(cfg: Config, data: ClassificationData) -> None:
    """Do the same as `override_datasets` in a classifier's config.

    Raises:
        ConfigError: a dataset of the config has no pipeline.
    """
    _override_splits(cfg, data.splits, partial(_cls_dataset_cfg, classes=tuple(data.classes)),
                     _override_cls_evaluator)


def _override_splits(
    cfg: Config,
    splits: Mapping[str, Any],
    make_dataset: Callable[..., ConfigDict],
    override_evaluator: Callable[[Any, Any, str], Any],
) -> None:
    scope = get_default_scope(cfg)
    for name in ("train", "val", "test"):
        loader = cfg.get(f"{name}_dataloader")
        if loader is None or name not in splits:
            continue
        split = splits[name]
        loader["dataset"] = replace_innermost_dataset(
            loader["dataset"], partial(make_dataset, split=split), f"{name}_dataloader.dataset")
        if name != "train":
            key = f"{name}_evaluator"
            cfg[key] = override_evaluator(cfg.get(key), split, scope)


def _coco_dataset_cfg(
    dataset: Mapping[str, Any], split: DataSplit, classes: tuple[str, ...]
) -> ConfigDict:
    kept = {key: dataset[key] for key in _COCO_KEYS if key in dataset}
    if isinstance(kept.get("filter_cfg"), Mapping):
        kept["filter_cfg"] = {
            key: value for key, value in kept["filter_cfg"].items() if key in _KEPT_FILTER_KEYS
        }
    return ConfigDict(type="CocoDataset", **_split_files(split), metainfo=dict(classes=classes),
                      **kept)


def _cls_dataset_cfg(
    dataset: Mapping[str, Any], split: ClassificationSplit, classes: tuple[str, ...]
) -> ConfigDict:
    kept = {key: dataset[key] for key in _CLS_KEYS if key in dataset}
    return ConfigDict(type="detkit.ClsDataset", **_split_files(split),
                      metainfo=dict(classes=classes), **kept)


def _split_files(split: DataSplit | ClassificationSplit) -> dict[str, Any]:
    return dict(data_root="", ann_file=str(split.annotation_file),
                data_prefix=dict(img=str(split.image_dir)))


def _override_coco_evaluator(evaluator: Any, split: DataSplit, scope: str) -> ConfigDict:
    """The first COCO metric of the config, with the new annotation file; else detkit's."""
    from mmdet.evaluation import CocoMetric

    from detkit.evaluation.detection.coco_metric import CocoBBoxMetric

    annotation_file = str(split.annotation_file)
    for metric in _metric_cfgs(evaluator):
        metric_class = resolve_class(metric, METRICS, scope)
        if metric_class is CocoMetric:
            return ConfigDict({**metric, "ann_file": annotation_file, "metric": "bbox"})
        if metric_class is CocoBBoxMetric:
            return ConfigDict({**metric, "ann_file": annotation_file})
    return ConfigDict(type="detkit.CocoBBoxMetric", ann_file=annotation_file)


def _override_cls_evaluator(evaluator: Any, split: ClassificationSplit, scope: str) -> Any:
    """The config's, if one of its metrics is a `ClassificationMetric`; else that metric."""
    from detkit.evaluation.classification.classification_metric import ClassificationMetric

    if any(is_subclass(metric, ClassificationMetric, METRICS, scope)
           for metric in _metric_cfgs(evaluator)):
        return evaluator
    return ConfigDict(type="detkit.ClassificationMetric")


def _metric_cfgs(evaluator: Any) -> list[Mapping[str, Any]]:
    metrics = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    return [metric for metric in metrics if isinstance(metric, Mapping) and "type" in metric]
