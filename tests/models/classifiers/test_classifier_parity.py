"""Classifiers give the same logits as their source library, from the image file on.

The published settings of the weights, which detkit has in configs:

=====================================  ==========  =====  ====  =============  ==================
weights                                resize      inter- crop  mean (0..255)  std (0..255)
                                       (crop_pct)  pol.
=====================================  ==========  =====  ====  =============  ==================
timm swin_tiny_patch4_window7_224      248 (0.9)   cubic  224   123.675,       58.395,
timm convnextv2_tiny                   256 (.875)  cubic  224   116.28,        57.12,
timm efficientnet_b0                   256 (.875)  cubic  224   103.53         57.375
torchvision swin_t                     232         cubic  224   (the same      (the same for all)
torchvision efficientnet_b0            256         cubic  224   for all)
=====================================  ==========  =====  ====  =============  ==================

timm resizes the shorter side to floor(crop / crop_pct): floor(224 / 0.9) = 248.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from convnextv2_models import randomized_model as randomized_convnextv2
from efficientnet_models import timm_model as timm_efficientnet
from efficientnet_models import torchvision_model as torchvision_efficientnet
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from PIL import Image
from safetensors.torch import save_file
from swin_models import randomized_model as randomized_swin
from torch import Tensor, nn

from detkit.registry import MODELS

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
CLASSES = 1000
SWIN = dict(backbone=dict(type="SwinTransformer", arch="tiny", out_indices=(3,)),
            head=dict(type="LinearClsHead", in_channels=768))
CONVNEXT = dict(
    backbone=dict(type="ConvNeXtV2", arch="tiny", out_indices=(3,), output_norms=False),
    head=dict(type="LinearClsHead", in_channels=768, norm_cfg=dict(type="LN", eps=1e-6)))
EFFICIENT = dict(
    backbone=dict(type="EfficientNet", arch="b0", out_indices=(3,), head_conv=True),
    head=dict(type="LinearClsHead", in_channels=1280, dropout=0.2))

CASES: dict[str, tuple[dict[str, Any], int]] = {
    "swin_tiny_patch4_window7_224": (SWIN, 248),
    "convnextv2_tiny": (CONVNEXT, 256),
    "efficientnet_b0": (EFFICIENT, 256),
    "torchvision swin_t": (SWIN, 232),
    "torchvision efficientnet_b0": (EFFICIENT, 256),
}
QUICK = ("efficientnet_b0",)
NAMES_SLOW_MARKED = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES
]
PHOTOS = ["udacity_test1.jpg", "sahi_terrain1.jpg", "sahi_small-vehicles1.jpeg",
          "sahi_terrain2_gray.png"]


def reference_model(name: str) -> nn.Module:
    """Random weights, different for each tensor, with activations of order one."""
    if name == "torchvision swin_t":
        return randomized_swin(torchvision.models.swin_t())
    if name == "torchvision efficientnet_b0":
        return torchvision_efficientnet("efficientnet_b0")
    if name == "efficientnet_b0":
        return timm_efficientnet(name)
    model = timm.create_model(name)
    return randomized_swin(model) if name.startswith("swin") else randomized_convnextv2(model)


def reference_transform(name: str, model: Any) -> Any:
    if name == "torchvision swin_t":
        return torchvision.models.Swin_T_Weights.DEFAULT.transforms()
    if name == "torchvision efficientnet_b0":
        return torchvision.models.EfficientNet_B0_Weights.DEFAULT.transforms()
    settings = timm.data.resolve_data_config({}, model=model)
    return timm.data.create_transform(**settings, is_training=False)


def preprocess_with_pipeline(paths: list[Path], resized: int, model: Any) -> Tensor:
    with DefaultScope.overwrite_default_scope("detkit"):
        pipeline = Compose([
            dict(type="LoadClsImage"),
            dict(type="torchvision/Resize", size=resized, interpolation="bicubic"),
            dict(type="torchvision/CenterCrop", size=224),
            dict(type="PackInputs"),
        ])
    packed = [pipeline(dict(img_path=str(path))) for path in paths]
    batch: Tensor = model.data_preprocessor(
        dict(inputs=[sample["inputs"] for sample in packed]))["inputs"]
    return batch


def build_classifier(parts: dict[str, Any], file: Path) -> Any:
    model = MODELS.build(dict(
        type="ImageClassifier", backbone=parts["backbone"],
        head={**parts["head"], "num_classes": CLASSES},
        data_preprocessor=dict(type="ClsDataPreprocessor", mean=MEAN, std=STD),
        init_cfg=dict(type="Pretrained", checkpoint=str(file)),
    ))
    model.init_weights()
    return model.eval()


@pytest.mark.parametrize("name", NAMES_SLOW_MARKED)
def test_logits_of_photographs_match_source_library(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    parts, resized = CASES[name]
    reference, file = reference_model(name), tmp_path / "weights.safetensors"
    save_file({key: value.contiguous() for key, value in reference.state_dict().items()}, file)
    paths = [shared_data / "photos" / photo for photo in PHOTOS[:2 if name in QUICK else 4]]
    model_under_test, transform = build_classifier(parts,
                                                   file), reference_transform(name, reference)

    images = [Image.open(path).convert("RGB") for path in paths]
    reference_batch = torch.stack([transform(image) for image in images])
    preprocessed = preprocess_with_pipeline(paths, resized, model_under_test)
    with torch.no_grad():
        expected, logits = reference(reference_batch), model_under_test(preprocessed)
    assert preprocessed.shape == reference_batch.shape
    assert (preprocessed - reference_batch).abs().max() < 1e-5
    difference, spread = (logits - expected).abs().max().item(), expected.std().item()
    assert spread > 0.05, "logits that are all alike agree by themselves"
    assert difference < 1e-4 * min(1.0, spread), (difference, spread)
    # The logits of images differ, so that not only a bias agrees.
    assert (expected[0] - expected[1]).abs().max() > 100 * difference
