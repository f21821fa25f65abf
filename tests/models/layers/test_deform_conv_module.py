"""Deformable convolution as a layer: plain at first, then torchvision's and mmcv's numbers."""

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


def layer(name: str, modulated: bool = True, moved: bool = False) -> DeformConv2d:
    torch.manual_seed(1)
    made = DeformConv2d(**LAYERS[name], modulated=modulated)
    if moved:
        nn.init.normal_(made.conv_offset.weight, std=0.1)
        assert made.conv_offset.bias is not None
        nn.init.normal_(made.conv_offset.bias)
    return made


def plain(made: DeformConv2d, image: Tensor) -> Tensor:
    pairs = dict(stride=made.stride, padding=made.padding, dilation=made.dilation)
    return F.conv2d(image, made.weight, made.bias, groups=made.groups, **pairs)  # type: ignore


@pytest.mark.parametrize("shape", [(0, 13, 17), (2, 13, 17), (1, 12, 9)], ids=str)
@pytest.mark.parametrize("modulated", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize("name", LAYERS)
def test_at_first_it_is_the_plain_convolution(
    name: str, modulated: bool, shape: tuple[int, ...]
) -> None:
    made = layer(name, modulated)
    image = torch.randn(shape[0], made.in_channels, *shape[1:])
    torch.testing.assert_close(made(image), plain(made, image), rtol=0, atol=1e-6)
    # Channels last is another memory format and no other layer.
    last = image.to(memory_format=torch.channels_last)
    torch.testing.assert_close(made(last), plain(made, image), rtol=0, atol=1e-6)


def test_weight_and_bias_begin_as_those_of_a_plain_convolution() -> None:
    torch.manual_seed(5)
    ours = DeformConv2d(8, 6, 3, groups=2)
    torch.manual_seed(5)
    theirs = nn.Conv2d(8, 6, 3, groups=2)
    state = ours.state_dict()
    assert set(state) == {"weight", "bias", "conv_offset.weight", "conv_offset.bias"}
    assert torch.equal(state["weight"], theirs.weight) and ours.bias is not None
    assert torch.equal(ours.bias, torch.as_tensor(theirs.bias))


@pytest.mark.parametrize("name", ["dense", "strided", "grouped", "depthwise 3"])
def test_version_two_is_mmcvs_with_half_the_weight(name: str) -> None:
    ours = layer(name, moved=True)
    theirs = ModulatedDeformConv2dPack(**LAYERS[name])
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        ours.weight.mul_(0.5)  # 2 * sigmoid(m) * w / 2 = sigmoid(m) * w
    image = torch.randn(2, ours.in_channels, 9, 11)
    torch.testing.assert_close(ours(image), theirs(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["strided", "depthwise 3"])
def test_version_one_is_mmcvs(name: str) -> None:
    arguments = {**LAYERS[name], "bias": False}
    torch.manual_seed(2)
    ours, theirs = DeformConv2d(**arguments, modulated=False), DeformConv2dPack(**arguments)
    nn.init.normal_(ours.conv_offset.weight, std=0.1)
    theirs.load_state_dict(ours.state_dict())
    image = torch.randn(2, ours.in_channels, 9, 11)
    torch.testing.assert_close(ours(image), theirs(image), rtol=1e-4, atol=1e-5)


# far: offsets that leave the image by far, on all sides. none: whole places, where a bilinear
# weight has a kink and the gradient of the offset must be taken on the same side as torchvision's.
@pytest.mark.parametrize("far", [0.0, 0.7, 20.0], ids=["none", "near", "far"])
@pytest.mark.parametrize("kernel, stride, padding, dilation", [
    ((3, 3), (1, 1), (1, 1), (1, 1)),
    ((5, 3), (2, 1), (2, 0), (1, 2)),
    ((7, 7), (1, 1), (3, 3), (1, 1)),
], ids=["3", "oblong", "7"])
@pytest.mark.parametrize("masked", [False, True], ids=["v1", "v2"])
def test_the_depthwise_form_has_torchvisions_numbers_and_gradients(
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
    for ours in (True, False):
        x, moves, w, b, *masks = leaves = [t.double().requires_grad_() for t in tensors]
        m = masks[0] if masks else None
        if ours:
            out = deform_depthwise(x, moves, w, b, m, stride, padding, dilation)
        else:
            out = deform_conv2d(x, moves, w, b, stride, padding, dilation, m)
        (out**2).sum().backward()
        results.append([out.detach(), *(leaf.grad for leaf in leaves)])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("modulated", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize("name", ["dense", "depthwise 7", "depthwise, two offset groups"])
def test_backward_reaches_input_and_every_parameter(name: str, modulated: bool) -> None:
    made = layer(name, modulated, moved=True)
    image = torch.randn(2, made.in_channels, 8, 8, requires_grad=True)
    (made(image) ** 3).sum().backward()
    for key, tensor in [("input", image), *made.named_parameters()]:
        assert tensor.grad is not None and tensor.grad.abs().sum() > 0, key


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ["dense", "depthwise 7"])
def test_autocast_samples_in_float32_and_gives_back_what_a_convolution_gives(
    name: str, dtype: torch.dtype
) -> None:
    made = layer(name, moved=True)
    image = torch.randn(2, made.in_channels, 8, 8)
    with torch.autocast("cpu", dtype=dtype):
        out = made(image)
        assert out.dtype == plain(made, image).dtype == dtype
        (out.float() ** 2).sum().backward()
    assert made.weight.grad is not None and made.weight.grad.dtype == torch.float32
    exact = made(image)
    # Only offsets and result are rounded: of offsets of some pixels to 8 bits, 1/64 pixel is left.
    error = (out.float() - exact).abs().max() / exact.abs().max()
    assert error < 0.05


@pytest.mark.parametrize("name", ["dense", "depthwise 7"])
def test_a_whole_model_in_half_precision_keeps_its_dtype(name: str) -> None:
    made = layer(name).to(torch.bfloat16)
    image = torch.randn(1, made.in_channels, 8, 8, dtype=torch.bfloat16)
    out = made(image)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, plain(made, image), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", ["dense", "depthwise 3"])
def test_torch_export_gives_the_same_map_at_other_sizes(name: str) -> None:
    made = layer(name, moved=True).eval()
    side = torch.export.Dim.DYNAMIC
    with torch.no_grad():
        exported = torch.export.export(
            made, (torch.randn(2, made.in_channels, 13, 15),),
            dynamic_shapes=({0: side, 2: side, 3: side},)).module()
        for shape in ((2, 13, 15), (3, 10, 21)):
            image = torch.randn(shape[0], made.in_channels, *shape[1:])
            torch.testing.assert_close(exported(image), made(image))


@pytest.mark.parametrize("name", ["dense", "depthwise 3"])
def test_torch_compile_traces_it_whole_and_trains_it_alike(name: str) -> None:
    made = layer(name, moved=True)
    image = torch.randn(2, made.in_channels, 9, 9)
    # aot_eager: dynamo, functions and their gradients as compiled, without waiting for a compiler.
    compiled = torch.compile(made, fullgraph=True, backend="aot_eager")
    gradients = []
    for model in (made, compiled):
        made.zero_grad()
        out = model(image)
        (out**2).sum().backward()
        gradients.append([out.detach()] + [p.grad for p in made.parameters()])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_gives_the_same_map(copied: Any) -> None:
    made = layer("depthwise 7", moved=True)
    image = torch.randn(1, made.in_channels, 9, 9)
    made(image).sum().backward()
    assert torch.equal(copied(made)(image), made(image))


def test_offsets_are_read_by_small_windows_where_the_depthwise_kernel_is_large() -> None:
    # 3 taps x 3 numbers of 7 x 7 places = 147 channels, each of 3 x 3 x 384 weights and a bias.
    offsets = DeformConv2d(384, 384, 7, padding=3, groups=384).conv_offset
    assert sum(p.numel() for p in offsets.parameters()) == 147 * (9 * 384 + 1)
    # One offset for all channels moves a step to where a smaller window looks too.
    assert DeformConv2d(8, 8, 7, padding=3).conv_offset.kernel_size == (7, 7)


def test_reset_offsets_makes_it_plain_again() -> None:
    made = layer("dense", moved=True)
    image = torch.randn(1, 6, 7, 7)
    assert not torch.allclose(made(image), plain(made, image), atol=1e-2)
    made.reset_offsets()
    torch.testing.assert_close(made(image), plain(made, image), rtol=0, atol=1e-6)


@pytest.mark.parametrize("changes, word", [
    (dict(groups=4), "groups"), (dict(deform_groups=4), "deform_groups"),
    (dict(groups=0), "groups"), (dict(kernel_size=0), "kernel_size"), (dict(stride=0), "stride"),
    (dict(padding=-1), "padding"), (dict(dilation=(1, 1, 1)), "dilation"),
], ids=str)
def test_numbers_that_cannot_be_are_refused_by_name(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=f"DeformConv2d: {word}: got"):
        DeformConv2d(**{**LAYERS["dense"], **changes})
