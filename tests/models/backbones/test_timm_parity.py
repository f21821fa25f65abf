"""Parity of TimmBackbone with timm's feature extractor on the same checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from timm_files import timm_feature_maps, weights_file

from detkit.models.backbones import TimmBackbone
from detkit.models.weights.backbone_weights import load_backbone_weights

STEM_FIRST, STAGES = (1, 2, 3, 4), (0, 1, 2, 3)


# Name, timm's indices of the levels with strides 4, 8, 16, 32, image size.
@pytest.mark.parametrize("name, levels, side", [
    ("resnet18", STEM_FIRST, 64),
    ("mobilenetv3_small_100", STEM_FIRST, 64),
    ("convnext_atto", STAGES, 64),
    ("test_maxvit", STEM_FIRST, 160),
    ("test_coatnet", STEM_FIRST, 160),
    *(pytest.param(*case, marks=pytest.mark.slow) for case in (
        ("resnext50_32x4d", STEM_FIRST, 64),
        ("seresnet50", STEM_FIRST, 64),
        ("wide_resnet50_2", STEM_FIRST, 64),
        ("densenet121", STEM_FIRST, 64),
        ("vgg11", (2, 3, 4, 5), 64),
        ("inception_v3", STEM_FIRST, 299),
        ("efficientnet_b0", STEM_FIRST, 64),
        ("tf_efficientnet_b0", STEM_FIRST, 64),
        ("efficientvit_b0", STAGES, 64),
        ("swin_tiny_patch4_window7_224", STAGES, 224),
        ("swinv2_tiny_window8_256", STAGES, 256),
        ("maxvit_nano_rw_256", STEM_FIRST, 256),
        ("coatnet_nano_rw_224", STEM_FIRST, 224),
        ("hrnet_w18_small", STEM_FIRST, 64),
    )),
])
def test_maps_match_timm_feature_extractor(
    name: str, levels: tuple[int, ...], side: int, tmp_path: Path
) -> None:
    file = weights_file(name, tmp_path)
    model = TimmBackbone(name).eval()
    assert load_backbone_weights(model, file).layout == "timm"
    image = torch.randn(2, 3, side, side)
    with torch.no_grad():
        maps = model(image)
    for actual, other in zip(maps, timm_feature_maps(name, file, levels, image), strict=True):
        # Without padding (Inception) timm's maps are smaller, and detkit's are padded.
        above, beside = ((m - o) // 2 for m, o in zip(actual.shape[-2:], other.shape[-2:]))
        inner = actual[..., above : above + other.shape[-2], beside : beside + other.shape[-1]]
        torch.testing.assert_close(inner, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name, side", [
    ("test_vit", 160),
    ("eva02_tiny_patch14_224", 224),
    *(pytest.param(*case, marks=pytest.mark.slow) for case in (
        ("deit_tiny_patch16_224", 224),
        ("vit_base_patch16_clip_224", 224),
        ("vit_small_patch14_dinov2", 518),
        ("vit_small_patch16_dinov3", 256),
    )),
])
def test_plain_transformer_map_matches_timm_feature_extractor(
    name: str, side: int, tmp_path: Path
) -> None:
    file = weights_file(name, tmp_path)
    model = TimmBackbone(name, strides=None).eval()
    load_backbone_weights(model, file)
    image = torch.randn(1, 3, side, side)
    with torch.no_grad():
        actual, = model(image)
    other, = timm_feature_maps(name, file, (-1,), image)
    torch.testing.assert_close(actual, other, rtol=1e-4, atol=1e-4)
