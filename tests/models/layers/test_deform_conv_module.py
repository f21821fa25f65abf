"""DeformConv2d: initially a plain convolution, parity with torchvision and mmcv."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import DeformConv2dPack, ModulatedDeformConv2dPack
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from detkit.errors import ConfigError
from detkit.models.layers.deform_conv import DeformConv2d
from detkit.models.layers.deform_depthwise import deform_depthwise

LAYERS: dict[str, dict[str, Any]] = {
    "dense": dict(in_channels=6, out_channels=4, kernel_size=3, padding=1),
    "strided": dict(in_channels=6, out_channels=4, kernel_size=3, padding=1, stride=2, bias=False),
    "grouped": dict(in_channels=6, out_channels=4, kernel_size=3, groups=2, deform_groups=3),
    "oblong": dict(in_channels=4, out_channels=2, kernel_size=(1, 3), padding=(0, 2), dilation=2),
    "depthwise 3": dict(in_channels=5, out_channels=5, kernel_size=3, padding=1, groups=5),
    "depthwise 7": dict(in_channels=5, out_channels=5, kernel_size=7, padding=3, groups=5),
    "depthwise 5, no padding": dict(
        in_channels=5, out_channels=5, kernel_size=5, stride=2, groups=5, bias=False),
    "depthwise, dilated": dict(
        in_channels=4, out_channels=4, kernel_size=5, padding=3, dilation=2, groups=4),
    "depthwise, two offset groups": dict(
        in_channels=4, out_channels=4, kernel_size=3, padding=1, groups=4, deform_groups=2),
    "two filters a channel": dict(
        in_channels=4, out_channels=8, kernel_size=5, padding=2, groups=4),
}


def layer(name: str, modulated: bool = True, random_offsets: bool = False) -> DeformConv2d:
    torch.manual_seed(1)
    deform_conv = DeformConv2d(**LAYERS[name], modulated=modulated)
    if random_offsets:
        nn.init.normal_(deform_conv.conv_offset.weight, std=0.1)
        assert deform_conv.conv_offset.bias is not None
        nn.init.normal_(deform_conv.conv_offset.bias)
    return deform_conv


def plain_conv_output(deform_conv: DeformConv2d, image: Tensor) -> Tensor:
    pairs = dict(stride=deform_conv.stride, padding=deform_conv.padding,
                 dilation=deform_conv.dilation)
    return F.conv2d(image, deform_conv.weight, deform_conv.bias, groups=deform_conv.groups,
                    **pairs)  # type: ignore


@pytest.mark.parametrize("shape", [(0, 13, 17), (2, 13, 17), (1, 12, 9)], ids=str)
@pytest.mark.parametrize("modulated", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize("name", LAYERS)
def test_initial_output_equals_plain_convolution(
    name: str, modulated: bool, shape: tuple[int, ...]
) -> None:
    deform_conv = layer(name, modulated)
    image = torch.randn(shape[0], deform_conv.in_channels, *shape[1:])
    torch.testing.assert_close(deform_conv(image), plain_conv_output(deform_conv, image), rtol=0,
                               atol=1e-6)
    # channels_last must give the same result.
    last = image.to(memory_format=torch.channels_last)
    torch.testing.assert_close(deform_conv(last), plain_conv_output(deform_conv, image), rtol=0,
                               atol=1e-6)


def test_initial_weight_and_bias_match_plain_convolution() -> None:
    torch.manual_seed(5)
    deform_conv = DeformConv2d(8, 6, 3, groups=2)
    torch.manual_seed(5)
    reference = nn.Conv2d(8, 6, 3, groups=2)
    state = deform_conv.state_dict()
    assert set(state) == {"weight", "bias", "conv_offset.weight", "conv_offset.bias"}
    assert torch.equal(state["weight"], reference.weight) and deform_conv.bias is not None
    assert torch.equal(deform_conv.bias, torch.as_tensor(reference.bias))


@pytest.mark.parametrize("name", ["dense", "strided", "grouped", "depthwise 3"])
def test_v2_matches_mmcv_with_half_weight(name: str) -> None:
    deform_conv = layer(name, random_offsets=True)
    reference = ModulatedDeformConv2dPack(**LAYERS[name])
    reference.load_state_dict(deform_conv.state_dict())
    with torch.no_grad():
        deform_conv.weight.mul_(0.5)  # 2 * sigmoid(m) * w / 2 = sigmoid(m) * w
    image = torch.randn(2, deform_conv.in_channels, 9, 11)
    torch.testing.assert_close(deform_conv(image), reference(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["strided", "depthwise 3"])
def test_v1_matches_mmcv(name: str) -> None:
    arguments = {**LAYERS[name], "bias": False}
    torch.manual_seed(2)
    deform_conv, reference = DeformConv2d(**arguments,
                                          modulated=False), DeformConv2dPack(**arguments)
    nn.init.normal_(deform_conv.conv_offset.weight, std=0.1)
    reference.load_state_dict(deform_conv.state_dict())
    image = torch.randn(2, deform_conv.in_channels, 9, 11)
    torch.testing.assert_close(deform_conv(image), reference(image), rtol=1e-4, atol=1e-5)


# far: offsets far outside the image, on all sides. none: integer positions, where bilinear weights
# have a kink and the gradient of the offset must be taken on the same side as in torchvision.
@pytest.mark.parametrize("far", [0.0, 0.7, 20.0], ids=["none", "near", "far"])
@pytest.mark.parametrize("kernel, stride, padding, dilation", [
    ((3, 3), (1, 1), (1, 1), (1, 1)),
    ((5, 3), (2, 1), (2, 0), (1, 2)),
    ((7, 7), (1, 1), (3, 3), (1, 1)),
], ids=["3", "oblong", "7"])
@pytest.mark.parametrize("masked", [False, True], ids=["v1", "v2"])
def test_depthwise_kernel_matches_torchvision_with_gradients(
    masked: bool, kernel: Any, stride: Any, padding: Any, dilation: Any, far: float
) -> None:
    torch.manual_seed(3)
    image, weight, bias = torch.randn(2, 6, 9, 14), torch.randn(6, 1, *kernel), torch.randn(6)
    size = F.conv2d(image, weight, None, stride, padding, dilation, 6).shape[2:]
    taps = kernel[0] * kernel[1]
    offset = torch.randn(2, 2 * taps, *size) * far
    mask = torch.rand(2, taps, *size) if masked else None
    tensors = [image, offset, weight, bias] + ([mask] if mask is not None else [])
    results = []
    for use_detkit in (True, False):
        x, moves, w, b, *masks = leaves = [t.double().requires_grad_() for t in tensors]
        m = masks[0] if masks else None
        if use_detkit:
            out = deform_depthwise(x, moves, w, b, m, stride, padding, dilation)
        else:
            out = deform_conv2d(x, moves, w, b, stride, padding, dilation, m)
        (out**2).sum().backward()
        results.append([out.detach(), *(leaf.grad for leaf in leaves)])
    for actual, reference in zip(*results, strict=True):
        torch.testing.assert_close(actual, reference, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("modulated", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize("name", ["dense", "depthwise 7", "depthwise, two offset groups"])
def test_backward_reaches_input_and_every_parameter(name: str, modulated: bool) -> None:
    deform_conv = layer(name, modulated, random_offsets=True)
    image = torch.randn(2, deform_conv.in_channels, 8, 8, requires_grad=True)
    (deform_conv(image) ** 3).sum().backward()
    for key, tensor in [("input", image), *deform_conv.named_parameters()]:
        assert tensor.grad is not None and tensor.grad.abs().sum() > 0, key


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ["dense", "depthwise 7"])
def test_autocast_samples_in_float32_and_returns_dtype_of_conv2d(
    name: str, dtype: torch.dtype
) -> None:
    deform_conv = layer(name, random_offsets=True)
    image = torch.randn(2, deform_conv.in_channels, 8, 8)
    with torch.autocast("cpu", dtype=dtype):
        out = deform_conv(image)
        assert out.dtype == plain_conv_output(deform_conv, image).dtype == dtype
        (out.float() ** 2).sum().backward()
    assert deform_conv.weight.grad is not None and deform_conv.weight.grad.dtype == torch.float32
    exact = deform_conv(image)
    # Only offsets and result are rounded: offsets of a few pixels to 8 bits, 1/64 pixel.
    error = (out.float() - exact).abs().max() / exact.abs().max()
    assert error < 0.05


@pytest.mark.parametrize("name", ["dense", "depthwise 7"])
def test_half_precision_model_keeps_its_dtype(name: str) -> None:
    deform_conv = layer(name).to(torch.bfloat16)
    image = torch.randn(1, deform_conv.in_channels, 8, 8, dtype=torch.bfloat16)
    out = deform_conv(image)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, plain_conv_output(deform_conv, image), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", ["dense", "depthwise 3"])
def test_torch_export_gives_the_same_map_at_other_sizes(name: str) -> None:
    deform_conv = layer(name, random_offsets=True).eval()
    side = torch.export.Dim.DYNAMIC
    with torch.no_grad():
        exported = torch.export.export(
            deform_conv, (torch.randn(2, deform_conv.in_channels, 13, 15),),
            dynamic_shapes=({0: side, 2: side, 3: side},)).module()
        for shape in ((2, 13, 15), (3, 10, 21)):
            image = torch.randn(shape[0], deform_conv.in_channels, *shape[1:])
            torch.testing.assert_close(exported(image), deform_conv(image))


@pytest.mark.parametrize("name", ["dense", "depthwise 3"])
def test_torch_compile_gives_one_graph_and_same_gradients(name: str) -> None:
    deform_conv = layer(name, random_offsets=True)
    image = torch.randn(2, deform_conv.in_channels, 9, 9)
    # aot_eager: dynamo and AOT autograd as in compilation, without a compiler.
    compiled = torch.compile(deform_conv, fullgraph=True, backend="aot_eager")
    gradients = []
    for model in (deform_conv, compiled):
        deform_conv.zero_grad()
        out = model(image)
        (out**2).sum().backward()
        gradients.append([out.detach()] + [p.grad for p in deform_conv.parameters()])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_gives_the_same_map(copied: Any) -> None:
    deform_conv = layer("depthwise 7", random_offsets=True)
    image = torch.randn(1, deform_conv.in_channels, 9, 9)
    deform_conv(image).sum().backward()
    assert torch.equal(copied(deform_conv)(image), deform_conv(image))


def test_conv_offset_is_3x3_for_large_depthwise_kernel() -> None:
    # 3 values for each of 7 x 7 taps = 147 channels, each of 3 x 3 x 384 weights and a bias.
    offsets = DeformConv2d(384, 384, 7, padding=3, groups=384).conv_offset
    assert sum(p.numel() for p in offsets.parameters()) == 147 * (9 * 384 + 1)
    # A constant offset moves the taps to positions that a smaller kernel reads too.
    assert DeformConv2d(8, 8, 7, padding=3).conv_offset.kernel_size == (7, 7)


def test_reset_offsets_restores_plain_convolution() -> None:
    deform_conv = layer("dense", random_offsets=True)
    image = torch.randn(1, 6, 7, 7)
    assert not torch.allclose(deform_conv(image), plain_conv_output(deform_conv, image), atol=1e-2)
    deform_conv.reset_offsets()
    torch.testing.assert_close(deform_conv(image), plain_conv_output(deform_conv, image), rtol=0,
                               atol=1e-6)


@pytest.mark.parametrize("changes, word", [
    (dict(groups=4), "groups"), (dict(deform_groups=4), "deform_groups"),
    (dict(groups=0), "groups"), (dict(kernel_size=0), "kernel_size"), (dict(stride=0), "stride"),
    (dict(padding=-1), "padding"), (dict(dilation=(1, 1, 1)), "dilation"),
], ids=str)
def test_invalid_numbers_are_rejected_by_name(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=f"DeformConv2d: {word}: got"):
        DeformConv2d(**{**LAYERS["dense"], **changes})
