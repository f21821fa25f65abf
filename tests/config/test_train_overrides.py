"""The flags of ``train`` that stand for config values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from detkit.config.image_size import get_image_size
from detkit.config.load_config import load_config
from detkit.config.overrides import substitute_components
from detkit.config.train_overrides import TrainOverrides, override_training
from detkit.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def config(name: str = "cascade_efficientnet_lite0") -> Config:
    return load_config(CONFIGS / f"{name}.py")


def steps(cfg: Config, split: str) -> dict[str, Any]:
    return {step["type"]: step for step in cfg[f"{split}_dataloader"].dataset.pipeline}


def test_values_replace_those_of_the_config() -> None:
    before = config()
    values = TrainOverrides(batch_size=7, lr=0.3, workers=0, freeze=-1, patience=3,
                            weights="efficientnet_lite0.lukemelas")
    cfg = override_training(before, values)
    assert cfg.train_dataloader.batch_size == 7 and cfg.val_dataloader.batch_size == 1
    assert cfg.optim_wrapper.optimizer.lr == 0.3
    assert all(cfg[f"{split}_dataloader"].num_workers == 0 for split in ("train", "val", "test"))
    assert cfg.model.backbone.frozen_stages == -1
    assert cfg.model.backbone.weights == "efficientnet_lite0.lukemelas"
    assert cfg.custom_hooks[-1] == dict(type="EarlyStoppingHook", monitor="coco/bbox_mAP",
                                        rule="greater", patience=3, min_delta=0.0)
    substitute_components(cfg)
    assert cfg.train_dataloader.persistent_workers is False
    assert before.train_dataloader.batch_size == 4  # the argument is as it was
    assert override_training(before, TrainOverrides()).to_dict() == before.to_dict()


def test_size_scales_every_size_of_a_detector() -> None:
    cfg = override_training(config(), TrainOverrides(size=480))
    train = steps(cfg, "train")
    assert train["RandomResize"]["scale"] == (480, 480)
    assert train["RandomResize"]["ratio_range"] == (0.75, 1.5)
    assert train["RandomCrop"]["crop_size"] == (480, 480)
    assert all(steps(cfg, split)["Resize"]["scale"] == (480, 480) for split in ("val", "test"))


def test_size_keeps_the_ratio_of_the_sides_and_of_the_splits() -> None:
    before = config("cascade_swin")
    cfg = override_training(before, TrainOverrides(size=2 * get_image_size(before)))
    assert steps(before, "test")["Resize"]["scale"] == (1333, 800)
    assert steps(cfg, "test")["Resize"]["scale"] == (2666, 1600)


def test_size_is_the_crop_of_a_classifier() -> None:
    cfg = override_training(config("classify_efficientnet_lite0"), TrainOverrides(size=112))
    train, test = steps(cfg, "train"), steps(cfg, "test")
    assert train["torchvision/RandomResizedCrop"]["size"] == 112
    assert train["torchvision/RandomResizedCrop"]["scale"] == (0.35, 1.0)
    assert test["torchvision/CenterCrop"]["size"] == 112
    assert test["torchvision/Resize"]["size"] == 128  # 256 of 224


def test_size_reaches_mixing_steps_in_wrapped_datasets() -> None:
    cfg = load_config(CONFIGS / "_base_" / "datasets" / "coco_320_mosaic.py")
    cfg = override_training(cfg, TrainOverrides(size=640))
    mix = {step["type"]: step for step in cfg.train_dataloader.dataset.pipeline}
    assert mix["Mosaic"]["img_scale"] == (960, 960)
    assert mix["Mosaic"]["center_ratio_range"] == (0.75, 1.25)
    inner = cfg.train_dataloader.dataset.dataset.pipeline[0].transforms[-1]
    assert inner["scale"] == (960, 960)


def test_a_file_is_a_whole_model(tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    path.write_bytes(b"")
    cfg = override_training(config(), TrainOverrides(weights=str(path)))
    assert cfg.load_from == str(path) and cfg.model.backbone.weights == "imagenet"


def test_patience_replaces_that_of_the_config() -> None:
    cfg = config()
    cfg.custom_hooks = [dict(type="EarlyStoppingHook", monitor="coco/bbox_mAP_50", patience=9)]
    cfg = override_training(cfg, TrainOverrides(patience=2))
    assert cfg.custom_hooks == [dict(type="EarlyStoppingHook", monitor="coco/bbox_mAP_50",
                                     patience=2)]


@pytest.mark.parametrize(
    ("values", "options", "change", "message"),
    [
        (dict(lr=0.1), {"optim_wrapper.optimizer.lr": 0.2}, {}, "--lr and --cfg-options"),
        (dict(batch_size=2), {"train_dataloader.batch_size": 2}, {}, "one of them"),
        (dict(batch_size=2), {}, {"train_dataloader": None}, "no train_dataloader.batch_size"),
        (dict(lr=0.1), {}, {"optim_wrapper": None}, "no optim_wrapper.optimizer"),
        (dict(size=64), {}, {"test_dataloader": None, "val_dataloader": None}, "sets a size"),
        (dict(patience=1), {}, {"val_cfg": None}, "no validation"),
        (dict(patience=1), {}, {"default_hooks": {}}, "which score is the best"),
        (dict(freeze=1), {}, {"model": {"type": "CascadeRCNN"}}, "no backbone"),
        (dict(weights="no/such.pth"), {}, {}, "no such file"),
    ],
)
def test_what_cannot_be_set_is_an_error(
    values: dict[str, Any], options: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    cfg = config()
    for key, value in change.items():
        cfg[key] = value
    with pytest.raises(ConfigError, match=message):
        override_training(cfg, TrainOverrides(**values), options)


def test_a_backbone_without_frozen_stages_is_an_error() -> None:
    cfg = config()
    cfg.model.backbone = dict(type="mmdet.SSDVGG", depth=16)
    with pytest.raises(ConfigError, match="SSDVGG has no frozen_stages"):
        override_training(cfg, TrainOverrides(freeze=1))
