"""timm's classifiers without their last layer: features, weights and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm_files import randomized_model, weights_file
from torch import Tensor

from detkit.errors import ConfigError, WeightsError
from detkit.models.backbones import TimmBackbone, TimmNetwork
from detkit.models.weights.backbone_weights import load_backbone_weights

# Networks with different last layers: pooled maps, a class token, a norm after the pooling, one
# more layer after it (MobileNetV3), NHWC maps with a fixed input size (Swin).
ENDINGS = ["test_resnet", "test_vit", "test_convnext"]
MORE_ENDINGS = ["mobilenetv3_small_050", "test_efficientnet", "test_vit2", "test_mambaout",
                "test_nfnet"]


def make_image(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", [
    *ENDINGS, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE_ENDINGS)])
def test_features_match_timm_pre_logits(name: str, tmp_path: Path) -> None:
    reference: Any = randomized_model(name)
    file = weights_file(name, tmp_path)
    model = TimmNetwork(name, init_cfg=dict(type="Pretrained", checkpoint=str(file))).eval()
    model.init_weights()
    side = timm.get_pretrained_cfg(name).input_size[-1]  # type: ignore[union-attr]
    image = make_image(2, 3, side, side)
    with torch.no_grad():
        (features,) = model(image)
        expected = reference.forward_head(reference.forward_features(image), pre_logits=True)
        logits = reference.get_classifier()(features)
        assert torch.allclose(logits, reference(image), atol=1e-5)
    assert features.shape == (2, *model.feature_channels)
    assert torch.allclose(features, expected, atol=1e-6)
    assert model.feature_strides is None
    keys = {key.removeprefix("model.") for key in model.state_dict()}
    assert keys <= set(reference.state_dict()) and keys >= {
        key for key in reference.state_dict() if not key.startswith(("head", "fc", "classifier"))}


def test_unsupported_image_size_raises_with_both_sizes() -> None:
    model = TimmNetwork("swin_tiny_patch4_window7_224", img_size=64, window_size=2,
                        embed_dim=12, depths=(1, 1), num_heads=(1, 2)).eval()
    assert model(make_image(1, 3, 64, 64))[0].shape == (1, 24) == (1, *model.feature_channels)
    with pytest.raises(ConfigError,
                       match="does not support this image size.*got 96 x 64.*img_size") as error:
        model(make_image(1, 3, 64, 96))
    assert "\n" not in str(error.value)


def test_error_unrelated_to_image_size_is_reraised() -> None:
    with pytest.raises(RuntimeError):
        TimmNetwork("test_resnet")(torch.zeros(1, 3, 64, 64, dtype=torch.int64))


@pytest.mark.parametrize("arguments, error_type, words", [
    (dict(name="tset_resnet"), ConfigError, "TimmNetwork: name.*did you mean test_resnet"),
    (dict(name="test_resnet.x"), WeightsError, "test_resnet has no pretrained weights"),
    (dict(name="test_resnet", num_classes=5), ConfigError, "TimmNetwork.*'num_classes'"),
    (dict(name="test_resnet", features_only=True), ConfigError, "TimmBackbone gives maps"),
    (dict(name="test_resnet", drop_paths=1), ConfigError, "no argument 'drop_paths'"),
], ids=str)
def test_unknown_name_or_argument_is_rejected(
    arguments: dict[str, Any], error_type: type[Exception], words: str
) -> None:
    with pytest.raises(error_type, match=words):
        TimmNetwork(**arguments)


def test_pretrained_without_network_raises_error_with_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    nobody = "http://127.0.0.1:9"  # the discard port: no server
    monkeypatch.setattr(constants, "ENDPOINT", nobody)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE",
                        nobody + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="^TimmNetwork: pretrained=True.*init_cfg=") as error:
        TimmNetwork("test_resnet", pretrained=True).init_weights()
    assert "\n" not in str(error.value)


def test_depths_grow_from_the_stem_to_the_head() -> None:
    model = TimmNetwork("test_resnet")
    number = model.get_layer_depth("head.fc.weight", "backbone.")[1]
    depths = [model.get_layer_depth(f"backbone.{path}", "backbone.")[0]
              for path, _ in model.named_parameters()]
    assert depths == sorted(depths) and depths[0] == 0 and depths[-1] < number - 1
    assert model.get_layer_depth("head.fc.weight", "backbone.") == (number - 1, number)


def as_checkpoint(model: Any) -> dict[str, Any]:
    """A checkpoint as saved by the run of a classifier."""
    state = {f"backbone.{key}": value for key, value in model.state_dict().items()}
    return {"state_dict": {**state, "head.fc.weight": torch.ones(2, 2),
                           "head.fc.bias": torch.ones(2)}, "meta": {}}


@pytest.mark.parametrize("name, strides", [("test_resnet", (4, 8, 16, 32)), ("test_vit", None),
                                           ("test_convnext", (8, 16))], ids=str)
def test_timm_network_checkpoint_loads_into_timm_backbone(
    name: str, strides: Any
) -> None:
    torch.manual_seed(0)
    network, body = TimmNetwork(name).eval(), TimmBackbone(name, strides=strides).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    report = load_backbone_weights(body, as_checkpoint(network))
    assert {"head.fc.weight", "head.fc.bias"} <= set(
        report.unexpected_keys) and report.missing_keys == ()
    image = make_image(1, 3, 160, 160)
    with torch.no_grad():
        # The maps of the network itself, from timm.
        maps = network.model.forward_intermediates(image, intermediates_only=True, norm=False,
                                                   output_fmt="NCHW")
        for level in body(image):
            assert any(
                level.shape == feature_map.shape and torch.allclose(level, feature_map, atol=1e-5)
                for feature_map in maps)
    if name == "test_vit":  # only the final norm belongs to the classifier
        assert {"norm.weight", "norm.bias"} <= set(report.unexpected_keys)


def test_timm_backbone_checkpoint_loads_into_network_without_extra_layers() -> None:
    body = TimmBackbone("test_resnet")
    report = load_backbone_weights(TimmNetwork("test_resnet"), as_checkpoint(body))
    assert report.layout == "detkit" and report.missing_keys == ()
    again = load_backbone_weights(TimmBackbone("test_resnet"), as_checkpoint(body))
    assert again.layout == "detkit" and again.missing_keys == ()
    with pytest.raises(WeightsError, match="detkit layout.*missing model.norm.weight"):
        load_backbone_weights(TimmNetwork("test_vit"),
                              as_checkpoint(TimmBackbone("test_vit", strides=None)))


def test_checkpoint_of_other_network_is_rejected_by_key() -> None:
    with pytest.raises(WeightsError, match="timm cannot convert|missing body"):
        load_backbone_weights(TimmBackbone("test_convnext"),
                              as_checkpoint(TimmNetwork("test_resnet")))
    with pytest.raises(WeightsError, match="missing body.conv1"):
        load_backbone_weights(TimmBackbone("test_resnet"), as_checkpoint(TimmNetwork("test_vit")))
