"""The same weights give the same maps and gradients as in timm, torchvision and mmdet."""

from pathlib import Path

import pytest
import torch
from swin_models import (
    assert_same,
    randomized_model,
    raw_maps,
    timm_maps,
    timm_swin,
    torchvision_maps,
    torchvision_swin,
)
from torch import Tensor

from detkit.models.backbones import SwinTransformer
from detkit.models.weights.backbone_weights import load_backbone_weights

ARCHS = [
    "tiny",
    pytest.param("small", marks=pytest.mark.slow),
    pytest.param("base", marks=pytest.mark.slow),
]


def make_image(*shape: int) -> Tensor:
    """A ramp with noise."""
    generator = torch.Generator().manual_seed(1)
    ramp = torch.linspace(-2, 2, shape[-1]).expand(shape)
    return ramp + torch.randn(shape, generator=generator)


@pytest.mark.parametrize("arch", ARCHS)
def test_each_stage_agrees_with_torchvision_through_its_file(arch: str, tmp_path: Path) -> None:
    reference = torchvision_swin(arch)
    torch.save(reference.state_dict(), tmp_path / "swin.pth")
    model = SwinTransformer(arch).eval()
    load_backbone_weights(model, tmp_path / "swin.pth")
    # 224: no padding. 132 x 260: padding in every stage, odd maps. 64: one window in the last.
    for size in ((224, 224), (132, 260), (64, 64)):
        image = make_image(2, 3, *size)
        with torch.no_grad():
            assert_same(raw_maps(model, image), torchvision_maps(reference, image))


@pytest.mark.parametrize("arch", ARCHS)
def test_each_stage_agrees_with_timm_through_its_file(arch: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model = SwinTransformer(arch).eval()
    # timm rolls before it pads, the others pad before they roll (microsoft, torchvision, mmdet,
    # detkit): they agree where maps are multiples of the window. timm shrinks larger windows.
    for size in ((224, 224), (224, 448)):
        reference = timm_swin(arch, size)
        save_file(reference.state_dict(), tmp_path / "swin.safetensors")
        report = load_backbone_weights(model, tmp_path / "swin.safetensors")
        assert report.layout == "timm"
        image = make_image(1, 3, *size)
        with torch.no_grad():
            assert_same(raw_maps(model, image), timm_maps(reference, image))


def test_training_mode_agrees_with_eval_mode_and_torchvision_in_maps_and_gradients() -> None:
    # With gradients, attention has another implementation.
    reference = torchvision_swin("tiny")
    model = SwinTransformer("tiny", drop_path_rate=0.0).train()
    load_backbone_weights(model, reference.state_dict())
    image = make_image(2, 3, 96, 132)
    maps, expected = raw_maps(model, image), torchvision_maps(reference, image)
    assert_same(maps, expected)
    weights = [torch.randn_like(level) for level in maps]
    for outputs in (maps, expected):
        torch.stack([(level * weight).mean()
                     for level, weight in zip(outputs, weights)]).sum().backward()
    pairs = [
        ("patch_embed.proj.weight", "features.0.0.weight"),
        ("stages.0.blocks.1.attn.qkv.weight", "features.1.1.attn.qkv.weight"),
        (
            "stages.0.blocks.1.attn.relative_position_bias_table",
            "features.1.1.attn.relative_position_bias_table",
        ),
        ("stages.1.downsample.reduction.weight", "features.4.reduction.weight"),
        ("stages.2.blocks.5.mlp.fc1.weight", "features.5.5.mlp.0.weight"),
        ("stages.3.blocks.1.norm2.bias", "features.7.1.norm2.bias"),
    ]
    for name, reference_name in pairs:
        got = model.get_parameter(name).grad
        expected_grad = reference.get_parameter(reference_name).grad
        assert got is not None and expected_grad is not None
        assert (got - expected_grad).norm() <= 1e-3 * expected_grad.norm(), name


def test_fused_and_explicit_attention_agree_under_bf16_autocast() -> None:
    model = randomized_model(SwinTransformer("micro"))
    image = make_image(2, 3, 96, 72)
    with torch.autocast("cpu", torch.bfloat16):
        explicit = model(image)
        with torch.no_grad():
            fused = model(image)
    with torch.no_grad():
        exact = model(image)
    for first, second, third in zip(explicit, fused, exact):
        # bf16 has 8 bits: 2^-8 = 0.004 of the value, over about twenty roundings.
        assert (first.float() - second.float()).norm() < 0.02 * third.norm()
        assert (second.float() - third).norm() < 0.05 * third.norm()


# The last stage is 9 x 11 and 8 x 9 tokens: more than a window, below which mmdet shifts and
# torchvision, timm and detkit do not.
@pytest.mark.parametrize("size", [(259, 345), (256, 288)], ids=str)
def test_each_output_agrees_with_mmdet_through_its_file(
    size: tuple[int, int], tmp_path: Path
) -> None:
    mmdet_swin = pytest.importorskip("mmdet.models.backbones.swin")
    reference = randomized_model(mmdet_swin.SwinTransformer())
    state = {f"backbone.{name}": value for name, value in reference.state_dict().items()}
    state["rpn_head.rpn_conv.weight"] = torch.zeros(1)
    torch.save({"meta": {"epoch": 3}, "state_dict": state}, tmp_path / "detector.pth")
    model = SwinTransformer("tiny").eval()
    report = load_backbone_weights(model, tmp_path / "detector.pth")
    assert report.layout == "mmdet"
    assert report.missing_keys == ()
    assert "rpn_head.rpn_conv.weight" in report.unexpected_keys
    image = make_image(1, 3, *size)
    with torch.no_grad():
        assert_same(list(model(image)), list(reference(image)))
