"""``--backbone-from``: a detector's backbone is initialized from a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_classifier
import tiny_training
import torch
import torchvision
from mmengine.config import Config
from mmengine.registry import DefaultScope

from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.engine.backbone_from import init_backbone_from
from detkit.engine.run import TrainResult, train
from detkit.errors import ConfigError, DetkitError, WeightsError
from detkit.models.backbones import ConvNeXtV2
from detkit.registry import MODELS

NANO = Path(__file__).resolve().parents[2] / "configs" / "cascade_swin_nano.py"


@pytest.fixture(scope="module")
def classifier(trained_classifier: tuple[Path, TrainResult]) -> Path:
    """``best.pth`` of a tiny ConvNeXtV2 classifier."""
    checkpoint = trained_classifier[1].checkpoint
    assert checkpoint is not None
    return checkpoint


@pytest.fixture
def detector(tmp_path: Path, tiny_data: Path) -> Path:
    """The tiny detector's config with the same backbone."""
    return tiny_training.write_config(tmp_path, tiny_data, tiny_classifier.DETECTOR_BACKBONE)


def _built(cfg: Config) -> Any:
    infer_fields(cfg, ("red", "green"))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    model.init_weights()
    return model


def test_detector_backbone_gets_the_classifier_weights(classifier: Path, detector: Path) -> None:
    cfg = init_backbone_from(load_config(detector), classifier)
    backbone = _built(cfg).backbone
    state_dict = torch.load(classifier, weights_only=True)["state_dict"]
    pairs = [(tensor, state_dict[f"backbone.{name}"])
             for name, tensor in backbone.state_dict().items()
             if f"backbone.{name}" in state_dict]
    # All but the norms of the three levels, which the classifier does not have.
    assert len(pairs) == len(backbone.state_dict()) - 6 > 40
    assert all(torch.equal(tensor, other) for tensor, other in pairs)


def test_detector_normalizes_as_a_classifier_with_input_norm_did(
    classifier: Path, detector: Path, tmp_path: Path
) -> None:
    content = torch.load(classifier, weights_only=True)
    cfg = Config.fromstring(content["meta"]["cfg"], ".py")
    cfg.model.input_norm = dict(type="BN", affine=False, momentum=None)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    image = torch.randint(256, (3, 32, 64), dtype=torch.uint8,
                          generator=torch.Generator().manual_seed(0)) // 4 + 190
    normalized = model.data_preprocessor(dict(inputs=[image]))["inputs"]
    model.input_norm.train()(normalized)
    expected = model.input_norm.eval()(normalized)
    content["meta"]["cfg"] = cfg.pretty_text
    content["state_dict"].update({name: tensor for name, tensor in model.state_dict().items()
                                  if name.startswith("input_norm.")})
    torch.save(content, tmp_path / "classifier.pth")

    detector_cfg = load_config(detector)
    detector_cfg.model.data_preprocessor.update(bgr_to_rgb=True)
    built = _built(init_backbone_from(detector_cfg, tmp_path / "classifier.pth"))
    inputs = built.data_preprocessor(dict(inputs=[image.flip(0)], data_samples=None))["inputs"]
    torch.testing.assert_close(inputs, expected, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_detector_trains_with_backbone_from(
    classifier: Path, detector: Path, tmp_path: Path
) -> None:
    result = train(detector, work_dir=tmp_path / "work", device="cpu", backbone_from=classifier,
                   options={"train_cfg.max_epochs": 1, "param_scheduler.1.end": 1,
                            "optim_wrapper.optimizer.lr": 0.0, "custom_hooks": []})
    assert result.checkpoint is not None
    ended = torch.load(result.checkpoint, weights_only=True)["state_dict"]
    state_dict = torch.load(classifier, weights_only=True)["state_dict"]
    shared = [name for name in state_dict if name.startswith("backbone.")]
    # Trained with a learning rate of 0.
    assert all(torch.equal(ended[name], state_dict[name]) for name in shared)


def test_architecture_mismatch_error_names_both(classifier: Path) -> None:
    cfg = load_config(NANO)
    with pytest.raises(WeightsError) as refused:
        init_backbone_from(cfg, classifier)
    assert f"{classifier} holds ConvNeXtV2 " in str(refused.value)
    assert "the config's backbone is SwinTransformer 'micro'" in str(refused.value)


def test_model_size_mismatch_error_names_both(tmp_path: Path, detector: Path) -> None:
    weights = {f"backbone.{name}": value for name, value in ConvNeXtV2("atto").state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "atto.pth")
    cfg = load_config(detector)
    with pytest.raises(WeightsError, match="atto.pth holds ConvNeXtV2 'atto'; the config's "
                                           "backbone is ConvNeXtV2 'tiny'"):
        init_backbone_from(cfg, tmp_path / "atto.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "none.pth: no such file"), (b"", "none.pth"), (b"words", "none.pth")],
    ids=["missing", "empty", "not a checkpoint"],
)
def test_unreadable_checkpoint_error_is_one_line(
    tmp_path: Path, detector: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "none.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        init_backbone_from(load_config(detector), tmp_path / "none.pth")


def test_model_without_backbone_is_rejected(classifier: Path) -> None:
    with pytest.raises(ConfigError, match="--backbone-from: the config's model has no backbone"):
        init_backbone_from(Config({"model": {"type": "X"}}), classifier)


def test_backbone_from_with_load_from_is_rejected(classifier: Path, detector: Path) -> None:
    cfg = load_config(detector, {"load_from": "x.pth"})
    with pytest.raises(ConfigError, match="load_from=x.pth.*--cfg-options load_from=None"):
        init_backbone_from(cfg, classifier)


def test_backbone_from_is_ignored_on_resume_with_a_message(
    classifier: Path, detector: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = load_config(detector, {"load_from": "x.pth", "resume": True})
    with caplog.at_level("INFO", "detkit"):
        cfg = init_backbone_from(cfg, classifier)
    assert "init_cfg" not in cfg.model.backbone
    assert "--backbone-from has no effect" in caplog.text and "x.pth" in caplog.text


@pytest.mark.parametrize("prefix", ["", "backbone."], ids=["torchvision's", "a detector's"])
def test_mmdet_backbone_loads_a_complete_checkpoint(
    tmp_path: Path, tiny_config: Path, prefix: str
) -> None:
    pretrained = torchvision.models.resnet18().state_dict()
    torch.save({"state_dict": {prefix + name: value for name, value in pretrained.items()}},
               tmp_path / "r18.pth")
    options = {"model.backbone": {"type": "ResNet", "depth": 18, "_delete_": True},
               "model.roi_head.bbox_head.fc_out_channels": 8,
               "model.neck.num_outs": 4,
               "model.rpn_head.anchor_generator.strides": [4, 8, 16, 32],
               "model.roi_head.bbox_roi_extractor.featmap_strides": [4, 8, 16, 32]}
    cfg = load_config(tiny_config, options)
    cfg = init_backbone_from(cfg, tmp_path / "r18.pth")
    backbone = _built(cfg).backbone.state_dict()
    assert all(torch.equal(value, pretrained[name]) for name, value in backbone.items())


def test_mmdet_backbone_of_another_depth_is_rejected(tmp_path: Path, tiny_config: Path) -> None:
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "r18.pth")
    cfg = load_config(tiny_config, {"model.backbone.depth": 50, "model.backbone.base_channels": 64})
    with pytest.raises(DetkitError, match="r18.pth holds .*; the config's backbone is ResNet '50'.*"
                                          "tensors missing or of another shape, such as "):
        init_backbone_from(cfg, tmp_path / "r18.pth")
