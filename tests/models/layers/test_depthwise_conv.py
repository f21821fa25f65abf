"""Depthwise convolution: results and gradients of torch's, a state dict that is interchangeable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detkit.models.layers.depthwise_conv import DepthwiseConv2d, depthwise_conv2d

# kernel, stride, padding, height and width; odd and even sizes, one smaller than the kernel.
CASES = [(1, 1, (0, 0), 5, 4), (3, 1, (1, 1), 8, 9), (3, 2, (0, 0), 9, 9), (5, 1, (2, 2), 7, 8),
         (5, 2, (2, 2), 9, 12), (5, 2, (0, 1), 11, 8), (7, 1, (3, 3), 6, 10), (7, 2, (3, 3), 4, 5),
         (9, 1, (4, 4), 6, 6)]


def _gradients(convolve: object, x: Tensor, weight: Tensor, bias: Tensor,
               *args: object) -> list[Tensor]:
    inputs = [tensor.detach().clone().requires_grad_() for tensor in (x, weight, bias)]
    out = convolve(*inputs, *args)  # type: ignore[operator]
    ramp = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    return [out, *torch.autograd.grad((out * ramp).sum(), inputs)]


def _torch_conv2d(x: Tensor, weight: Tensor, bias: Tensor, stride: int,
                  padding: tuple[int, int]) -> Tensor:
    return F.conv2d(x, weight, bias, stride, padding, 1, len(weight))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kernel, stride, padding, height, width", CASES)
def test_gradients_are_those_of_torch(kernel: int, stride: int, padding: tuple[int, int],
                                      height: int, width: int,
                                      memory_format: torch.memory_format) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, height, width, dtype=torch.float64, generator=rng)
    weight = torch.randn(6, 1, kernel, kernel, dtype=torch.float64, generator=rng)
    bias = torch.randn(6, dtype=torch.float64, generator=rng)
    expected = _gradients(_torch_conv2d, x, weight, bias, stride, padding)

    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        given = [t.to(dtype) for t in (x.contiguous(memory_format=memory_format), weight, bias)]
        for actual, reference in zip(_gradients(depthwise_conv2d, *given, stride, padding),
                                     expected):
            torch.testing.assert_close(actual.double(), reference, rtol=tolerance,
                                       atol=tolerance)


def test_autocast_gives_bfloat16_and_gradients_in_float32() -> None:
    torch.manual_seed(0)
    conv = DepthwiseConv2d(8, 5, stride=2, padding=2)
    reference = nn.Conv2d(8, 8, 5, 2, 2, groups=8)
    reference.load_state_dict(conv.state_dict())
    x = torch.randn(2, 8, 13, 10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, expected = conv(x), reference(x)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, expected)
    out.float().square().sum().backward()
    reference(x).square().sum().backward()
    for name, parameter in reference.named_parameters():
        grad = conv.get_parameter(name).grad
        assert grad is not None and grad.dtype == torch.float32
        torch.testing.assert_close(grad, parameter.grad, rtol=0.05, atol=0.5)


def test_empty_batch_gives_empty_maps_and_zero_gradients() -> None:
    conv = DepthwiseConv2d(4, 5, padding=2)
    out = conv(torch.empty(0, 4, 6, 7))
    assert out.shape == (0, 4, 6, 7)
    out.sum().backward()
    assert conv.weight.grad is not None and not conv.weight.grad.any()


def test_a_traced_model_is_the_plain_convolution(tmp_path: Path) -> None:
    layer = DepthwiseConv2d(4, 5, 1, padding=2).eval()
    x = torch.randn(2, 4, 9, 9)
    traced = torch.jit.trace(layer, x)
    torch.jit.save(traced, tmp_path / "layer.pt")
    assert "_DepthwiseConv" not in str(traced.graph)
    assert torch.equal(torch.jit.load(tmp_path / "layer.pt")(x), layer(x))


def test_functional_gradients_are_those_of_torch() -> None:
    x, weight = torch.randn(1, 4, 9, 9), torch.randn(4, 1, 5, 5)

    def loss(weight: Tensor, convolve: Any) -> Tensor:
        return (convolve(x, weight, None, 1, (2, 2)) ** 2).sum()  # type: ignore[no-any-return]

    def plain(x: Tensor, weight: Tensor, bias: None, stride: int, padding: Any) -> Tensor:
        return F.conv2d(x, weight, bias, stride, padding, 1, 4)

    weight.requires_grad_()
    torch.testing.assert_close(torch.func.grad(loss)(weight, depthwise_conv2d),
                               torch.func.grad(loss)(weight, plain))
