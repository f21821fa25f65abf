"""What backbone a file holds, told by its config or by its names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision

from detkit.errors import WeightsError
from detkit.models.backbones import ConvNeXtV2, EfficientNet, SwinTransformer, TimmBackbone
from detkit.models.weights.backbone_detect import BackboneOrigin, backbone_in

SWIN = dict(embed_dims=12, depths=(1, 1), num_heads=(1, 2), window_size=3)


def file_of(content: Any, folder: Path) -> Path:
    torch.save(content, folder / "file.pth")
    return folder / "file.pth"


def run_of(text: str, state: Any = None) -> dict[str, Any]:
    """A checkpoint with the text of a config, as a run writes it."""
    return {"state_dict": state or {"backbone.x": torch.ones(1)}, "meta": {"cfg": text}}


OURS = "default_scope = 'detkit'\n"
TEXTS: dict[str, tuple[str, tuple[str | None, str | None, str]]] = {
    "classifier": (
        OURS + "model = dict(\n    backbone=dict(\n        arch='nano', out_indices=(\n"
        "            3, ), type='SwinTransformer'),\n    head=dict(type='LinearClsHead'),\n"
        "    type='ImageClassifier')",
        ("SwinTransformer", "nano", "SwinTransformer 'nano'")),
    "default arch": (OURS + "model = dict(backbone=dict(type='ConvNeXtV2'), type='FasterRCNN')",
                     ("ConvNeXtV2", "tiny", "ConvNeXtV2 'tiny'")),
    "scope": (OURS + "model = dict(backbone=dict(type='detkit.EfficientNet', arch='b1'))",
              ("EfficientNet", "b1", "EfficientNet 'b1'")),
    "timm": (OURS + "model = dict(backbone=dict(type='TimmNetwork', name='test_vit', a=inf))",
             ("TimmNetwork", "test_vit", "TimmNetwork 'test_vit'")),
    "mmdet": ("model = dict(backbone=dict(type='ResNet', depth=50), type='FasterRCNN')",
              ("ResNet", "50", "ResNet '50'")),
    "arch as a dict": (
        OURS + "model = dict(backbone=dict(type='SwinTransformer', arch=dict(embed_dims=8)))",
        ("SwinTransformer", None, "SwinTransformer")),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_config_in_a_file_says_it(name: str, tmp_path: Path) -> None:
    text, expected = TEXTS[name]
    found = backbone_in(file_of(run_of(text), tmp_path))
    assert found == BackboneOrigin(*expected, by_config=True)


@pytest.mark.parametrize("text", ["", "model = 3", "model = dict(", "import os\nmodel = dict()",
                                  "model = dict(backbone=dict(type=open('x')))"], ids=str)
def test_a_text_that_is_no_config_is_passed_over_and_never_executed(
    text: str, tmp_path: Path
) -> None:
    found = backbone_in(file_of(run_of(text), tmp_path))
    assert (found.type, found.arch) == (None, None)
    assert "knows by its names (x)" in found.description


def timms(name: str) -> dict[str, Any]:
    state: dict[str, Any] = timm.create_model(name).state_dict()
    return state


@pytest.mark.parametrize("make, expected", [
    (lambda: timms("swin_tiny_patch4_window7_224"), ("SwinTransformer", "tiny")),
    (lambda: timms("convnextv2_atto"), ("ConvNeXtV2", "atto")),
    pytest.param(lambda: timms("efficientnet_b0"), ("EfficientNet", "b0"),
                 marks=pytest.mark.slow),
    (lambda: torchvision.models.efficientnet_b0().state_dict(), ("EfficientNet", "b0")),
    (lambda: {f"backbone.{k}": v for k, v in SwinTransformer("nano").state_dict().items()},
     ("SwinTransformer", "nano")),
    (lambda: ConvNeXtV2("atto", deform_stages=(3,)).state_dict(), ("ConvNeXtV2", "atto")),
    (lambda: EfficientNet("nano", head_conv=True).state_dict(), ("EfficientNet", "nano")),
    pytest.param(lambda: SwinTransformer(SWIN, out_indices=(1,)).state_dict(),
                 ("SwinTransformer", None), marks=pytest.mark.slow),
    (lambda: {f"backbone.{k}": v for k, v in TimmBackbone("test_resnet").state_dict().items()},
     ("TimmBackbone", None)),
    (lambda: timms("test_resnet"), (None, None)),
], ids=["swin", "convnextv2", "efficientnet", "torchvision", "ours-swin", "ours-deform",
        "ours-efficientnet", "ours-own-size", "timm-backbone", "resnet"])
def test_names_and_shapes_say_it_where_there_is_no_config(
    make: Any, expected: tuple[str | None, str | None], tmp_path: Path
) -> None:
    found = backbone_in(file_of(make(), tmp_path))
    assert (found.type, found.arch) == expected and not found.by_config
    assert found.description


def test_a_file_that_cannot_be_read_is_the_readers_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        backbone_in(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="no weights in it"):
        backbone_in(file_of({"a": 1}, tmp_path))
