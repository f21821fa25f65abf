"""Fields inferred in a classifier's config, and mistakes found before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_classifier as tiny
from mmengine.config import Config

from detkit.config.data.override_datasets import override_cls_datasets
from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.config.task import is_classifier
from detkit.data.classification.load_classification_data import (
    ClassificationData,
    ClassificationSplit,
)
from detkit.data.report.ledger import Ledger
from detkit.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SPLITS = {name: ClassificationSplit(Path(f"/d/{name}.csv"), Path("/d/images"), (5, 2), 7)
          for name in ("train", "val", "test")}
DATA = ClassificationData(Path("/d"), "folder", ("cat", "dog"), SPLITS, Ledger("/d"))
PIPELINE = [dict(type="LoadClsImage"), dict(type="PackInputs")]
PLAIN = dict(type="ImageNet", data_root="old", ann_file="list.txt", pipeline=PIPELINE)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The tiny classifier's config; its data does not exist."""
    return tiny.write_config(tmp_path, Path("/nowhere"))


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        ({}, False),
        ({"model": {}}, False),
        ({"model": {"type": "FasterRCNN"}}, False),
        ({"model": {"type": "NoSuchModel"}}, False),
        ({"model": {"type": "ImageClassifier"}}, True),
        ({"model": {"type": "detkit.ImageClassifier"}, "default_scope": "mmdet"}, True),
    ],
    ids=["empty", "no type", "detector", "unknown", "classifier", "with scope"],
)
def test_is_classifier_follows_the_model_class(cfg: dict[str, Any], expected: bool) -> None:
    assert is_classifier(cfg) is expected


@pytest.mark.parametrize(
    "dataset",
    [PLAIN, dict(type="RepeatDataset", times=2, dataset=PLAIN),
     dict(type="ConcatDataset", datasets=[PLAIN, PLAIN])],
    ids=["plain", "repeated", "concatenated"],
)
def test_user_images_replace_the_config_dataset(dataset: dict[str, Any]) -> None:
    cfg = Config({f"{split}_dataloader": dict(batch_size=2, dataset=dataset)
                  for split in ("train", "test")})
    cfg.test_evaluator = dict(type="CocoBBoxMetric", ann_file="x")
    override_cls_datasets(cfg, DATA)
    wrapper = cfg.train_dataloader.dataset
    assert wrapper.get("dataset", wrapper) == dict(
        type="detkit.ClsDataset", data_root="", ann_file="/d/train.csv", pipeline=PIPELINE,
        data_prefix=dict(img="/d/images"), metainfo=dict(classes=("cat", "dog")))
    assert cfg.test_evaluator == dict(type="detkit.ClassificationMetric")
    assert cfg.train_dataloader.batch_size == 2


def test_classification_metric_is_kept() -> None:
    metric = dict(type="ClassificationMetric", topk=(1, 3))
    cfg = Config(dict(val_dataloader=dict(dataset=PLAIN), val_evaluator=[metric]))
    override_cls_datasets(cfg, DATA)
    assert cfg.val_evaluator == [metric]


def test_classes_and_channels_are_inferred(config: Path) -> None:
    cfg = load_config(config)
    infer_fields(cfg, DATA.classes)
    # dims=(8, 8, 16, 16), the last level.
    assert (cfg.model.head.num_classes, cfg.model.head.in_channels) == (2, 16)


def test_mmdet_backbone_channels_come_from_a_forward_pass(config: Path) -> None:
    resnet = {"type": "ResNet", "depth": 18, "_delete_": True}
    cfg = load_config(config, {"model.backbone": resnet})
    infer_fields(cfg, DATA.classes)
    assert cfg.model.head.in_channels == 512


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model.head.num_classes": 3}, "model.head.num_classes.*got 3.*expected 2 as the "
         r"dataset has \(cat, dog\).*--cfg-options model.head.num_classes=2"),
        ({"model.head.in_channels": 32}, "model.head.in_channels: the head does not match "
         "the backbone.*got 32.*expected 16.*--cfg-options model.head.in_channels=16"),
        ({"model.head.loss": {"type": "ClassBalancedLoss", "class_counts": [1, 2, 3],
                              "_delete_": True}},
         r"model.head.loss.class_counts.*got 3 counts, expected one for each of 2 classes"),
    ],
    ids=["classes", "channels", "counts"],
)
def test_classifier_mismatch_error_suggests_the_fix(
    config: Path, options: dict[str, Any], message: str
) -> None:
    cfg = load_config(config, options)
    with pytest.raises(ConfigError, match=message):
        infer_fields(cfg, DATA.classes)


@pytest.mark.parametrize(
    ("counts", "expected"), [((5, 2), [5, 2]), (None, None)], ids=["known", "unknown"]
)
def test_class_counts_of_the_training_images_reach_the_loss(
    config: Path, counts: tuple[int, ...] | None, expected: list[int] | None
) -> None:
    loss = {"type": "ClassBalancedLoss", "beta": 0.9, "_delete_": True}
    cfg = load_config(config, {"model.head.loss": loss})
    infer_fields(cfg, DATA.classes, counts)
    assert cfg.model.head.loss.get("class_counts") == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model.pooling": {"type": "GlobalAveragePoolin"}}, "model.pooling.*GlobalAveragePooling"),
        ({"model.head.dropuot": 0.1}, "model.head.dropuot.*did you mean 'dropout'"),
        ({"model.head.loss.label_smooth": 0.1}, "model.head.loss.*label_smoothing"),
        ({"model.train_cfg.augment": []}, "model.train_cfg.augment'?:.*did you mean 'augments'"),
        ({"model.train_cfg.augments.0.alfa": 1}, "model.train_cfg.augments.*did you mean 'alpha'"),
        ({"model.train_cfg.augments.0.type": "MixUpp"}, "did you mean 'MixUp'"),
        ({"model.data_preprocessor.meen": [0]}, "did you mean 'mean'"),
        ({"train_dataloader.dataset.pipeline.1.sise": 3},
         r"pipeline\[1\].sise.*did you mean 'size'"),
        ({"train_dataloader.dataset.pipeline.1.type": "torchvision/RandomResizdCrop"},
         "did you mean 'torchvision/RandomResizedCrop'"),
        ({"train_dataloader.sampler.type": "ClassBalancedSampl"}, "'ClassBalancedSampler'"),
        ({"val_evaluator.topkk": 3}, "val_evaluator.topkk.*did you mean 'topk'"),
    ],
    ids=["pooling", "head", "loss", "train_cfg", "augment's argument", "augment", "preprocessor",
         "transform's argument", "transform", "sampler", "metric"],
)
def test_config_mistakes_are_found_before_building(
    config: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(config, options)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("classify_*.py")), ids=lambda path: path.stem)
def test_shipped_classifier_configs_are_recognized(path: Path) -> None:
    cfg = load_config(path)
    assert is_classifier(cfg)
    infer_fields(cfg, DATA.classes)
    assert cfg.model.head.num_classes == 2
    assert cfg.model.head.in_channels > 0
