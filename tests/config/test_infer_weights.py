"""What follows from published weights in a config, and what contradicts them."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config

from detkit.config.infer.infer_fields import infer_fields
from detkit.errors import ConfigError

LITE = {"type": "EfficientNet", "arch": "lite0", "weights": "imagenet"}
IMAGENET_MEAN = [123.675, 116.28, 103.53]
HALF = [127.5, 127.5, 127.5]  # the input of TensorFlow's networks is -1 to 1


def _inferred(backbone: dict[str, Any], preprocessor: dict[str, Any] | None = None,
              model_type: str = "FasterRCNN", **model: Any) -> Any:
    if preprocessor is not None:
        model["data_preprocessor"] = dict(preprocessor)
    cfg = Config({"default_scope": "detkit",
                  "model": {"type": model_type, "backbone": dict(backbone), **model}})
    infer_fields(cfg, None)
    return cfg.model


@pytest.mark.parametrize("left_out", [{}, {"mean": None, "std": None, "bgr_to_rgb": None}])
def test_config_with_weights_says_all_that_follows(left_out: dict[str, None]) -> None:
    model = _inferred(LITE, {"type": "DetDataPreprocessor", **left_out})
    assert model.backbone == {
        "type": "EfficientNet", "arch": "lite0", "padding": "same", "norm_eps": 1e-3,
        "init_cfg": {"type": "Pretrained", "checkpoint": "published:efficientnet_lite0.lukemelas"}}
    assert model.data_preprocessor == {
        "type": "DetDataPreprocessor", "mean": HALF, "std": HALF, "bgr_to_rgb": True}


def test_inferred_config_is_inferred_again_to_the_same() -> None:
    first = _inferred(LITE, {"type": "DetDataPreprocessor"})
    again = _inferred(first.backbone, first.data_preprocessor)
    assert (again.backbone, again.data_preprocessor) == (first.backbone, first.data_preprocessor)
    with pytest.raises(ConfigError, match="mean"):
        _inferred(first.backbone, {"mean": IMAGENET_MEAN})


def test_config_that_says_the_same_stays() -> None:
    preprocessor = {"type": "DetDataPreprocessor", "mean": [127.5], "std": [127.5],
                    "bgr_to_rgb": True}
    model = _inferred({**LITE, "padding": "same"}, preprocessor)
    assert model.data_preprocessor == preprocessor


@pytest.mark.parametrize("backbone, preprocessor, parts", [
    ({}, {"mean": IMAGENET_MEAN, "std": [58.395, 57.12, 57.375]},
     ["model.data_preprocessor.mean", "123.675", "127.5", "efficientnet_lite0.lukemelas",
      "model.data_preprocessor.mean=127.5,127.5,127.5 model.data_preprocessor.std=127.5"]),
    ({}, {"bgr_to_rgb": False}, ["model.data_preprocessor.bgr_to_rgb", "got False"]),
    ({"padding": "symmetric"}, {}, ["model.backbone.padding", "got symmetric", "expected same"]),
    ({"norm_eps": 1e-5}, {}, ["model.backbone.norm_eps", "got 1e-05", "expected 0.001"]),
    ({"arch": "micro"}, {}, ["arch='micro'", "lite0", "weights=None"]),
    ({"arch": {"width": 0.5}}, {}, ["width", "weights=None"]),
    ({"weights": 1}, {}, ["EfficientNet: weights", "got 1"]),
], ids=["mean and std", "bgr", "padding", "eps", "arch without weights", "own arch", "number"])
def test_contradiction_is_refused_with_both_values(
    backbone: dict[str, Any], preprocessor: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        _inferred({**LITE, **backbone}, {"type": "DetDataPreprocessor", **preprocessor})
    assert all(part in str(error.value) for part in parts), error.value


def test_file_of_an_init_cfg_stays_and_the_rest_follows_the_weights() -> None:
    init_cfg = {"type": "Pretrained", "checkpoint": "mine.pth"}
    model = _inferred({**LITE, "init_cfg": init_cfg}, {"type": "DetDataPreprocessor"})
    assert model.backbone.init_cfg == init_cfg
    assert (model.backbone.padding, model.data_preprocessor.mean) == ("same", HALF)


def test_classifier_loads_the_whole_file() -> None:
    model = _inferred(LITE, None, "ImageClassifier", head={"type": "LinearClsHead"})
    assert "init_cfg" not in model.backbone
    assert model.init_cfg.checkpoint == "published:efficientnet_lite0.lukemelas"
    assert model.data_preprocessor == {"type": "ClsDataPreprocessor", "mean": HALF, "std": HALF}


@pytest.mark.parametrize("name, checkpoint", [
    ("resnet50", "published:resnet50.a1_in1k"),
    ("tf_efficientnet_lite0", "published:tf_efficientnet_lite0.in1k"),
])
def test_timms_statistics_are_those_of_its_tables(name: str, checkpoint: str) -> None:
    timm = pytest.importorskip("timm")
    model = _inferred({"type": "TimmBackbone", "name": name, "weights": "imagenet",
                       "pretrained": True}, {"type": "DetDataPreprocessor"})
    assert model.backbone.init_cfg.checkpoint == checkpoint and not model.backbone.pretrained
    assert model.data_preprocessor.std == pytest.approx(
        [255 * value for value in timm.get_pretrained_cfg(name).std])


def test_config_without_weights_stays() -> None:
    model = _inferred({"type": "EfficientNet", "arch": "lite0", "weights": None},
                      {"type": "DetDataPreprocessor"})
    assert model.data_preprocessor == {"type": "DetDataPreprocessor"}
    assert set(model.backbone) == {"type", "arch", "weights"}
