"""Runs of configs that begin with published weights: without a network, from scratch, resumed."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import tiny_training
import torch
from convnextv2_models import official
from mmengine.config import Config

from detkit.config.infer.infer_fields import infer_fields
from detkit.engine.from_scratch import drop_initial_weights
from detkit.engine.load_model import load_model
from detkit.engine.run import train
from detkit.errors import ConfigError, WeightsError

BACKBONE = '''
model.update(backbone=dict(type="ConvNeXtV2", arch="atto", out_indices=(1, 2, 3),
                           weights="imagenet"),
             data_preprocessor=dict(type="DetDataPreprocessor", pad_size_divisor=32))
'''
SHORT = {"train_cfg.max_epochs": 1, "param_scheduler.1.end": 1, "custom_hooks": [],
         "optim_wrapper.optimizer.lr": 0.0}


@pytest.fixture
def config(tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A detector on ConvNeXtV2-atto with weights='imagenet', on a machine without a network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # no server listens there
    monkeypatch.delenv("DETKIT_WEIGHTS", raising=False)
    return tiny_training.write_config(tmp_path, tiny_data, BACKBONE)


def test_from_scratch_drops_the_loading_only() -> None:
    cfg = Config({"default_scope": "detkit", "load_from": "whole.pth", "model": {
        "type": "FasterRCNN", "data_preprocessor": {"type": "DetDataPreprocessor"},
        "backbone": {"type": "EfficientNet", "arch": "lite0", "weights": "imagenet",
                     "norm_eval": True, "frozen_stages": 1}}})
    infer_fields(cfg, None)
    scratch = drop_initial_weights(cfg)
    assert cfg.model.backbone.norm_eval and scratch.load_from is None
    # With random weights, fixed norms would normalize nothing and frozen stages learn nothing.
    assert scratch.model.backbone == {
        "type": "EfficientNet", "arch": "lite0", "norm_eval": False, "frozen_stages": -1,
        "padding": "same", "norm_eps": 1e-3, "init_cfg": None}
    assert scratch.model.data_preprocessor == cfg.model.data_preprocessor


@pytest.mark.parametrize("backbone, expected", [
    ({"type": "ResNet", "depth": 50, "init_cfg": {"type": "Pretrained", "checkpoint": "a.pth"}},
     {"norm_eval": False, "init_cfg": None}),  # mmdet's norm_eval is True by default
    ({"type": "TimmBackbone", "name": "resnet18", "pretrained": True, "frozen_stages": 1},
     {"pretrained": False, "frozen_stages": -1}),
])
def test_from_scratch_serves_any_backbone(
    backbone: dict[str, object], expected: dict[str, object]
) -> None:
    cfg = Config({"default_scope": "detkit", "model": {"type": "FasterRCNN", "backbone": backbone}})
    found = drop_initial_weights(cfg).model.backbone
    assert {name: found[name] for name in expected} == expected


def test_from_scratch_serves_classifiers() -> None:
    cfg = Config({"default_scope": "detkit", "model": {
        "type": "ImageClassifier", "head": {"type": "LinearClsHead"},
        "backbone": {"type": "TimmNetwork", "name": "resnet18", "weights": "imagenet"}}})
    infer_fields(cfg, ["a", "b"])
    assert cfg.model.init_cfg.checkpoint.startswith("published:resnet18.")
    assert drop_initial_weights(cfg).model.init_cfg is None


def test_from_scratch_and_a_file_contradict_each_other(config: Path) -> None:
    with pytest.raises(ConfigError, match="--from-scratch and --backbone-from"):
        train(config, from_scratch=True, backbone_from="some.pth")


def test_without_network_the_error_has_the_remedies(config: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as error:
        train(config, work_dir=tmp_path / "work", options=SHORT, device="cpu")
    for part in ("convnextv2_atto.fcmae_ft_in1k", "--backbone-from", "DETKIT_WEIGHTS",
                 "convnextv2_atto_1k_224_ema.pt", "--from-scratch"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_run_from_scratch_needs_no_file(config: Path, tmp_path: Path) -> None:
    result = train(config, work_dir=tmp_path / "work", options=SHORT, device="cpu",
                   from_scratch=True)
    assert result.checkpoint is not None


@pytest.mark.slow
def test_checkpoint_of_a_run_does_not_need_the_published_file(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = timm.create_model("convnextv2_atto", num_classes=10)
    file = tmp_path / "convnextv2_atto_1k_224_ema.pt"
    torch.save({"model": official(model.state_dict())}, file)
    monkeypatch.setenv("DETKIT_WEIGHTS", str(tmp_path))
    result = train(config, work_dir=tmp_path / "work", options=SHORT, device="cpu")
    assert result.checkpoint is not None
    file.unlink()

    loaded = load_model(result.checkpoint, "cpu")
    kernel = loaded.model.get_parameter("backbone.stages.0.blocks.0.dwconv.weight")
    assert torch.equal(kernel, model.stages[0].blocks[0].conv_dw.weight)  # trained with lr 0
    # ImageNet's mean in the order of the network's input, which is RGB
    assert loaded.cfg.model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert loaded.cfg.model.data_preprocessor.bgr_to_rgb
    train(config, work_dir=tmp_path / "work", options={**SHORT, "train_cfg.max_epochs": 2},
          resume=True, device="cpu")
    assert (tmp_path / "work" / "epoch_2.pth").is_file()
