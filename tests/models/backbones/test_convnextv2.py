"""ConvNeXt V2: parity with timm on the same weights, manual examples, arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from convnextv2_models import LAYOUTS, randomized_model, raw_maps, timm_convnextv2, timm_maps
from safetensors.torch import save_file
from timm.layers.grn import GlobalResponseNorm as TimmNorm

from detkit.errors import ConfigError, WeightsError
from detkit.models.backbones import ConvNeXtV2
from detkit.models.backbones.convnextv2.archs import ARCHS
from detkit.models.backbones.convnextv2.layers import ConvNeXtV2Block, GlobalResponseNorm
from detkit.models.weights.backbone_weights import load_backbone_weights

SMALL: dict[str, Any] = dict(arch=dict(depths=(1, 2), dims=(8, 16)), out_indices=(0, 1))
QUICK = ["atto", "nano"]
SLOW = [pytest.param(a, marks=pytest.mark.slow) for a in ARCHS if a not in QUICK]
# Multiples of 32: for other sizes timm drops the remainder and detkit pads.
SIZES = [(1, 64, 64), (3, 96, 160), (1, 224, 224)]


def make_images(batch: int, height: int, width: int) -> list[torch.Tensor]:
    """Noise, and a ramp with an edge and no noise."""
    ramp = torch.linspace(-2, 2, width).expand(batch, 3, height, width).clone()
    ramp[:, :, height // 3 :] *= -1
    torch.manual_seed(1)
    return [torch.randn(batch, 3, height, width), ramp]


@pytest.mark.parametrize("arch", QUICK + SLOW)
def test_each_stage_agrees_with_timm_through_its_file(arch: str, tmp_path: Path) -> None:
    reference_model = timm_convnextv2(arch)
    save_file(reference_model.state_dict(), tmp_path / "timm.safetensors")
    detkit_model = ConvNeXtV2(arch).eval()
    report = load_backbone_weights(detkit_model, tmp_path / "timm.safetensors")
    assert report.layout == "timm"
    assert set(report.unexpected_keys) == {
        "head.norm.weight", "head.norm.bias", "head.fc.weight", "head.fc.bias"
    }
    with torch.no_grad():
        for size in SIZES[:1] if arch == "huge" else SIZES:
            for image in make_images(*size):
                pairs = zip(raw_maps(detkit_model, image),
                            timm_maps(reference_model, image),
                            strict=True)
                for stage, (actual, other) in enumerate(pairs):
                    difference = (actual - other).abs().max().item()
                    # Absolute tolerance; values of the maps are of order one to ten.
                    assert difference <= 1e-4, f"{size}, stage {stage}: {difference}"


# The gain is folded into the weights where the map has at least as many positions as channels:
# atto has 40, 80, 160, 320 channels; 96 x 128 pixels make 768, 192, 48, 12 positions, 576 x 576
# make 20736, 5184, 1296, 324. nano has 80 to 640, and 32 x 32 pixels make at most 64. tiny has
# 96, 192, 384, 768, and 96 x 160 pixels make 960, 240, 60, 15.
@pytest.mark.parametrize("arch, size, folded", [
    ("atto", (2, 96, 128), 2), ("nano", (2, 32, 32), 0),
    pytest.param("atto", (1, 576, 576), 4, marks=pytest.mark.slow),
    pytest.param("tiny", (2, 96, 160), 2, marks=pytest.mark.slow),
], ids=str)
def test_each_gradient_agrees_with_timm(
    arch: str, size: tuple[int, int, int], folded: int
) -> None:
    reference_model = timm_convnextv2(arch).train()
    detkit_model = ConvNeXtV2(arch, drop_path_rate=0.0).train()
    load_backbone_weights(detkit_model, reference_model.state_dict())
    image = make_images(*size)[0]
    cells = [size[1] * size[2] // stride**2 for stride in detkit_model.feature_strides]
    assert sum(n >= c for n, c in zip(cells, detkit_model.feature_channels)) == folded
    torch.manual_seed(2)
    actual, other = raw_maps(detkit_model, image), timm_maps(reference_model, image)
    weights = [torch.randn_like(level) for level in actual]
    for maps in (actual, other):
        torch.stack([(level * weight).mean()
                     for level, weight in zip(maps, weights)]).sum().backward()
    # Convert names as for a checkpoint, to match the gradients.
    gradients = {
        name: p.grad
        for name, p in reference_model.named_parameters() if p.grad is not None
    }
    expected = ConvNeXtV2(arch)
    load_backbone_weights(expected, gradients)
    compared = [name for name, p in detkit_model.named_parameters() if p.grad is not None]
    assert len(compared) == len(gradients) > 100
    for name in compared:
        got, expected_grad = detkit_model.get_parameter(name).grad, expected.get_parameter(name)
        assert got is not None
        assert (got - expected_grad).norm() <= 1e-3 * expected_grad.norm() + 1e-7, name


# B x H x W x C. The gain is applied to the map for few positions, to the weights for many.
@pytest.mark.parametrize("shape", [(2, 2, 3, 8), (2, 5, 7, 8), (1, 1, 1, 8)], ids=str)
def test_response_norm_matches_timm_and_its_folded_form(shape: tuple[int, ...]) -> None:
    block = randomized_model(ConvNeXtV2Block(8))
    x = torch.randn(*shape[:3], 32)
    reference_model = TimmNorm(32, channels_last=True)
    assert isinstance(block.grn, GlobalResponseNorm)
    with torch.no_grad():
        reference_model.weight.copy_(block.grn.gamma)
        reference_model.bias.copy_(block.grn.beta)
        torch.testing.assert_close(block.grn(x), reference_model(x), rtol=1e-5, atol=1e-5)
        expected = block.pwconv2(reference_model(x))
        torch.testing.assert_close(block._normalize_and_project(x), expected,
                                   rtol=1e-5, atol=1e-5)


def test_response_norm_of_float64_model_is_float64() -> None:
    block = randomized_model(ConvNeXtV2Block(8)).double()
    x = torch.randn(2, 5, 7, 32, dtype=torch.float64)
    # The norm of a channel over positions, relative to the mean over channels.
    strength = x.norm(dim=(1, 2), keepdim=True)
    share = strength / (strength.mean(-1, keepdim=True) + 1e-6)
    expected = x + block.grn.gamma * (x * share) + block.grn.beta
    with torch.no_grad():
        assert block.grn.gain(x).dtype == torch.float64
        torch.testing.assert_close(block.grn(x), expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(block._normalize_and_project(x), block.pwconv2(expected),
                                   rtol=1e-12, atol=1e-12)


def test_response_norm_matches_manual_example() -> None:
    # Two positions, two channels: norms over positions (3, 4 -> 5) and (0, 1 -> 1), mean 3, so
    # n = 5/3 and 1/3; with gamma (1, 3) and beta (0, 1): y = x * (8/3, 2) + (0, 1).
    norm = GlobalResponseNorm(2)
    with torch.no_grad():
        norm.gamma.copy_(torch.tensor([1.0, 3.0]))
        norm.beta.copy_(torch.tensor([0.0, 1.0]))
    got = norm(torch.tensor([[[[3.0, 0.0], [4.0, 1.0]]]]))
    torch.testing.assert_close(got, torch.tensor([[[[8.0, 1.0], [32 / 3, 3.0]]]]))


def test_a_map_of_zeros_has_finite_gradients() -> None:
    norm = GlobalResponseNorm(4)
    x = torch.zeros(1, 3, 3, 4, requires_grad=True)
    torch.nn.init.ones_(norm.gamma)
    norm(x).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all() and norm.gamma.grad is not None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_release_loads_to_the_same_maps(layout: str, tmp_path: Path) -> None:
    reference_model = timm_convnextv2("atto")
    torch.save(LAYOUTS[layout](reference_model.state_dict()), tmp_path / "file.pth")
    detkit_model = ConvNeXtV2("atto").eval()
    report = load_backbone_weights(detkit_model, tmp_path / "file.pth")
    assert report.layout == layout
    assert set(report.missing_keys) <= {
        f"norm{i}.{what}"
        for i in range(4)
        for what in ("weight", "bias")
    }
    image = make_images(1, 64, 96)[0]
    with torch.no_grad():
        for actual, other in zip(raw_maps(detkit_model, image),
                                 timm_maps(reference_model, image),
                                 strict=True):
            torch.testing.assert_close(actual, other, rtol=0, atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fault", ["renamed", "missing", "shape"])
def test_checkpoint_with_one_wrong_key_is_rejected_by_key(layout: str, fault: str) -> None:
    content = LAYOUTS[layout](timm_convnextv2("atto").state_dict())
    state = content.get("model", content.get("state_dict", content))
    name = next(n for n in state if "stages.2." in n and ("dwconv" in n or "conv_dw" in n
                or "depthwise" in n) and not n.endswith("bias"))
    if fault == "renamed":
        state[f"{name}_x"] = state.pop(name)
        words = f"{name}_x".removeprefix("encoder.").removeprefix("backbone.")
    elif fault == "missing":
        state.pop(name)
        words = "missing stages.2.blocks.0.dwconv.weight"
    else:
        state[name] = torch.zeros(3, 3)
        words = "stages.2.blocks.0.dwconv.weight is"
    detkit_model = ConvNeXtV2("atto")
    before = {n: value.clone() for n, value in detkit_model.state_dict().items()}
    with pytest.raises(WeightsError) as excinfo:
        load_backbone_weights(detkit_model, content)
    assert words in str(excinfo.value)
    assert all(torch.equal(value, before[n]) for n, value in detkit_model.state_dict().items())


def test_detkit_checkpoint_loads_and_other_stages_are_unexpected() -> None:
    source = ConvNeXtV2(**{**SMALL, "attention_stages": (1,), "deform_stages": (0,)})
    source.init_weights()
    state = {f"backbone.{name}": value for name, value in source.state_dict().items()}
    target = ConvNeXtV2(**{**SMALL, "attention_stages": (1,), "deform_stages": (0,)})
    report = load_backbone_weights(target, {"state_dict": state})
    assert report.layout == "detkit" and report.missing_keys == () and report.unexpected_keys == ()
    report = load_backbone_weights(
        ConvNeXtV2(**{
            **SMALL, "out_indices": (0, ),
            "deform_stages": (0, )
        }), state)
    assert {"norm1.weight", "stages.1.downsample.conv.weight"} <= set(report.unexpected_keys)


def test_weights_of_other_network_are_rejected() -> None:
    with pytest.raises(WeightsError, match="names of a ConvNeXt V2"):
        load_backbone_weights(ConvNeXtV2(**SMALL), {"layer1.0.conv1.weight": torch.ones(1)})


def test_deformable_stages_initially_match_plain_stages() -> None:
    plain = randomized_model(ConvNeXtV2(**SMALL))
    state = plain.state_dict()
    deformed = ConvNeXtV2(**SMALL, deform_stages=(0, 1)).eval()
    deformed.init_weights()
    report = load_backbone_weights(deformed, state)
    assert report.missing_keys and all(".conv_offset." in name for name in report.missing_keys)
    image = make_images(2, 40, 56)[0]
    for first, second in zip(plain(image), deformed(image), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)


def test_attention_matches_torch_multi_head_attention_with_layer_scale() -> None:
    model = randomized_model(ConvNeXtV2(**SMALL, attention_stages=(1,)))
    block = model.stages[1].attention
    reference = torch.nn.MultiheadAttention(16, block.heads, batch_first=True)
    reference.load_state_dict({
        "in_proj_weight": block.qkv.weight, "in_proj_bias": block.qkv.bias,
        "out_proj.weight": block.proj.weight, "out_proj.bias": block.proj.bias})
    x = torch.randn(2, 3, 5, 16)
    tokens = F.layer_norm(x, (16,), block.norm.weight, block.norm.bias, 1e-6).flatten(1, 2)
    with torch.no_grad():
        expected = x + block.scale * reference(tokens, tokens, tokens)[0].view(x.shape)
        torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


# By hand: tiny has 3, 3, 9, 3 blocks, three to a depth: stem 0, stage 0 at 1, stage 1 at 2,
# stage 2 at 3, 4, 5, stage 3 at 6, and output norms at 7.
@pytest.mark.parametrize(
    "name, depth",
    [("stem.proj.weight", 0), ("stages.0.blocks.2.norm.bias", 1),
     ("stages.1.downsample.norm.bias", 2), ("stages.2.downsample.conv.weight", 3),
     ("stages.2.blocks.2.grn.gamma", 3),
     ("stages.2.blocks.3.grn.gamma", 4), ("stages.2.blocks.8.pwconv1.bias", 5),
     ("stages.3.blocks.0.dwconv.weight", 6), ("norm0.weight", 7), ("norm3.bias", 7)],
)
def test_depths_of_parameters_of_tiny(name: str, depth: int) -> None:
    with torch.device("meta"):
        model = ConvNeXtV2("tiny")
    assert name in dict(model.named_parameters())
    assert model.get_layer_depth(f"backbone.{name}", "backbone.") == (depth, 8)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(arch="tinny"), "did you mean 'tiny'"),
        (dict(arch=dict(dim=(8, 16))), "did you mean 'dims'"),
        (dict(arch=dict(depths=(2, 2))), "depths and dims differ"),
        (dict(dims=(8, 0, 8, 8)), "ConvNeXtV2: dims: got"),
        (dict(depths=3), "ConvNeXtV2: depths: got"),
        (dict(stem="convolution"), "'patch' or 'conv'"),
        (dict(out_indices=(2, 1)), "ascending"),
        (dict(out_indices=(0, 4)), "0 to 3"),
        (dict(frozen_stages=5), "frozen_stages: got 5"),
        (dict(drop_path_rate=1.0), "drop_path_rate: got 1.0"),
        (dict(deform_stages=(4,)), r"deform_stages: got \(4,\), expected some of the"),
        (dict(deform_stages=([1],)), "deform_stages: got"),
        (dict(attention_stages=3), "attention_stages: got 3"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_invalid_arguments_are_rejected_by_name(
    arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        ConvNeXtV2(**arguments)
