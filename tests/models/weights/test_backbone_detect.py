"""Detection of the backbone in a checkpoint, by its config or its names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from mmengine.model import BaseModule
from torch import Tensor, nn

from detkit.errors import WeightsError
from detkit.models.backbones import ConvNeXtV2, EfficientNet, SwinTransformer, TimmBackbone
from detkit.models.classifiers.image_classifier import ImageClassifier
from detkit.models.weights.backbone_detect import DetectedBackbone, detect_backbone
from detkit.models.weights.classifier_weights import load_classifier_weights
from detkit.models.weights.converted_state_dict import (
    ClassifierPrefixes,
    ConvertedStateDict,
    StateDict,
)
from detkit.registry import MODELS

SWIN = dict(embed_dims=12, depths=(1, 1), num_heads=(1, 2), window_size=3)


def save_checkpoint(content: Any, folder: Path) -> Path:
    torch.save(content, folder / "file.pth")
    return folder / "file.pth"


def run_checkpoint(text: str, state: Any = None) -> dict[str, Any]:
    """A checkpoint of a run, with the text of its config."""
    return {"state_dict": state or {"backbone.x": torch.ones(1)}, "meta": {"cfg": text}}


DETKIT_SCOPE = "default_scope = 'detkit'\n"
TEXTS: dict[str, tuple[str, tuple[str | None, str | None, str]]] = {
    "classifier": (
        DETKIT_SCOPE + "model = dict(\n    backbone=dict(\n        arch='nano', out_indices=(\n"
        "            3, ), type='SwinTransformer'),\n    head=dict(type='LinearClsHead'),\n"
        "    type='ImageClassifier')", ("SwinTransformer", "micro", "SwinTransformer 'micro'")),
    "default arch": (DETKIT_SCOPE +
                     "model = dict(backbone=dict(type='ConvNeXtV2'), type='FasterRCNN')",
                     ("ConvNeXtV2", "tiny", "ConvNeXtV2 'tiny'")),
    "scope": (DETKIT_SCOPE + "model = dict(backbone=dict(type='detkit.EfficientNet', arch='b1'))",
              ("EfficientNet", "b1", "EfficientNet 'b1'")),
    "timm": (DETKIT_SCOPE +
             "model = dict(backbone=dict(type='TimmNetwork', name='test_vit', a=inf))",
             ("TimmNetwork", "test_vit", "TimmNetwork 'test_vit'")),
    "mmdet": ("model = dict(backbone=dict(type='ResNet', depth=50), type='FasterRCNN')",
              ("ResNet", "50", "ResNet '50'")), "arch as a dict": (
                  DETKIT_SCOPE +
                  "model = dict(backbone=dict(type='SwinTransformer', arch=dict(embed_dims=8)))",
                  ("SwinTransformer", None, "SwinTransformer")),
}


@pytest.mark.parametrize("name", TEXTS)
def test_backbone_is_detected_by_config(name: str, tmp_path: Path) -> None:
    text, expected = TEXTS[name]
    result = detect_backbone(save_checkpoint(run_checkpoint(text), tmp_path))
    assert result == DetectedBackbone(*expected, from_config=True)


@pytest.mark.parametrize("text", ["", "model = 3", "model = dict(", "import os\nmodel = dict()",
                                  "model = dict(backbone=dict(type=open('x')))"], ids=str)
def test_invalid_config_text_is_ignored_and_not_executed(
    text: str, tmp_path: Path
) -> None:
    result = detect_backbone(save_checkpoint(run_checkpoint(text), tmp_path))
    assert (result.type, result.arch) == (None, None)
    assert "with the names x" in result.description


def timm_state_dict(name: str) -> dict[str, Any]:
    state: dict[str, Any] = timm.create_model(name).state_dict()
    return state


@pytest.mark.parametrize("make, expected", [
    (lambda: timm_state_dict("swin_tiny_patch4_window7_224"), ("SwinTransformer", "tiny")),
    (lambda: timm_state_dict("convnextv2_atto"), ("ConvNeXtV2", "atto")),
    pytest.param(lambda: timm_state_dict("efficientnet_b0"), ("EfficientNet", "b0"),
                 marks=pytest.mark.slow),
    (lambda: torchvision.models.efficientnet_b0().state_dict(), ("EfficientNet", "b0")),
    (lambda: {f"backbone.{k}": v for k, v in SwinTransformer("micro").state_dict().items()},
     ("SwinTransformer", "micro")),
    (lambda: ConvNeXtV2("atto", deform_stages=(3,)).state_dict(), ("ConvNeXtV2", "atto")),
    (lambda: EfficientNet("micro", head_conv=True).state_dict(), ("EfficientNet", "micro")),
    pytest.param(lambda: SwinTransformer(SWIN, out_indices=(1,)).state_dict(),
                 ("SwinTransformer", None), marks=pytest.mark.slow),
    (lambda: {f"backbone.{k}": v for k, v in TimmBackbone("test_resnet").state_dict().items()},
     ("TimmBackbone", None)),
    (lambda: timm_state_dict("test_resnet"), (None, None)),
], ids=["swin", "convnextv2", "efficientnet", "torchvision", "detkit-swin", "detkit-deform",
        "detkit-efficientnet", "detkit-custom-size", "timm-backbone", "resnet"])
def test_backbone_is_detected_by_keys_and_shapes(
    make: Any, expected: tuple[str | None, str | None], tmp_path: Path
) -> None:
    result = detect_backbone(save_checkpoint(make(), tmp_path))
    assert (result.type, result.arch) == expected and not result.from_config
    assert result.description


class UserBackbone(BaseModule):  # type: ignore[misc]
    """A backbone that detkit does not ship; its published files say 'conv.' for 'stem.'."""

    feature_channels, feature_strides = (8,), (4,)
    arch_names = ("small", "large")

    def __init__(self, arch: str = "small", init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.stem = nn.Conv2d(3, 8, {"small": 1, "large": 3}[arch], stride=4)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.stem(images),)

    @staticmethod
    def checkpoint_filter_fn(state_dict: StateDict, model: nn.Module) -> ConvertedStateDict:
        if "conv.weight" not in state_dict:
            raise WeightsError("these are not the names of a UserBackbone")
        converted = ConvertedStateDict("published")
        for name, value in state_dict.items():
            if name.startswith("conv."):
                converted.add(name.replace("conv.", "stem."), name, value)
            else:
                converted.unexpected_keys.append(name)
        return converted

    @staticmethod
    def classifier_prefixes_fn(state_dict: StateDict, model: nn.Module) -> ClassifierPrefixes:
        return {"head.fc.": ("logits.",)}


def test_registered_user_backbone_needs_no_central_edit(tmp_path: Path) -> None:
    state = {"conv.weight": torch.rand(8, 3, 3, 3), "conv.bias": torch.rand(8),
             "logits.weight": torch.rand(5, 8), "logits.bias": torch.rand(5)}
    path = save_checkpoint(state, tmp_path)
    MODELS.register_module(name="UserBackbone", module=UserBackbone)
    try:
        detected = detect_backbone(path)
        model = ImageClassifier(backbone=dict(type="UserBackbone", arch="large"),
                                head=dict(type="LinearClsHead", in_channels=8, num_classes=5))
    finally:
        MODELS.module_dict.pop("UserBackbone")
    assert (detected.type, detected.arch) == ("UserBackbone", "large")
    report = load_classifier_weights(model, path)
    assert not report.missing_keys and not report.unexpected_keys
    assert torch.equal(model.backbone.stem.weight, state["conv.weight"])
    assert torch.equal(model.head.fc.weight, state["logits.weight"])


def test_unreadable_checkpoint_raises_weights_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        detect_backbone(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="no weights in it"):
        detect_backbone(save_checkpoint({"a": 1}, tmp_path))
