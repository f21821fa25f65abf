"""Depthwise convolution whose backward pass on a CPU takes a fraction of the library's time.

B: images; C: channels; H, W and P, Q: height and width of the map in and out; K: kernel size.

oneDNN has fast kernels for the weight gradient of 3 x 3 depthwise kernels, but none for 5 x 5 and
7 x 7, and none in bfloat16 for the input gradient at stride 2. So a larger kernel's weight gradient
is put together from 3 x 3 windows of taps, each the gradient of a 3 x 3 convolution of the shifted
input, and the input gradient at stride 2 is computed in float32.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_WINDOW = 3


class DepthwiseConv2d(nn.Conv2d):
    """``nn.Conv2d`` with one filter for each channel, faster to train on a CPU.

    Args:
        channels: C, in and out.
        kernel_size: K, of a square kernel.
        stride, padding: pixels of the input, the same in x and y.
        bias: whether there is one.

    (B, C, H, W) -> (B, C, P, Q); B may be 0. State dict and results are those of ``nn.Conv2d``.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int = 1, padding: int = 0,
                 bias: bool = True) -> None:
        super().__init__(channels, channels, kernel_size, stride, padding, groups=channels,
                         bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, P, Q)."""
        return depthwise_conv2d(x, self.weight, self.bias, self.stride[0],
                                (int(self.padding[0]), int(self.padding[1])))


def depthwise_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int,
                     padding: tuple[int, int]) -> Tensor:
    """Convolve each channel with its own kernel.

    Args:
        x: (B, C, H, W), floating point. B may be 0.
        weight: (C, 1, K, K), as ``x`` or, in autocast, of any floating point type.
        bias: (C,), or None for zeros.
        stride: the same in x and y, pixels of ``x``.
        padding: zeros above and below, left and right, pixels of ``x``.

    Returns:
        (B, C, P, Q), as ``torch.nn.functional.conv2d`` gives it. Gradients of first order agree
        with its up to the order of summation.

    Source: Ding et al., arXiv 2203.06717, on the cost of large depthwise kernels in libraries; the
    decomposition into windows is detkit's own.
    """
    trains = torch.is_grad_enabled() and weight.requires_grad
    traced = (torch.compiler.is_compiling()
              or torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]
    if not trains or x.device.type != "cpu" or not x.numel() or traced:
        return F.conv2d(x, weight, bias, stride, padding, 1, weight.shape[0])
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    out: Tensor = _DepthwiseConv.apply(x, weight, bias, stride, padding)
    return out


class _DepthwiseConv(torch.autograd.Function):
    """The convolution of the library, with a backward pass of its own."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int,
                padding: tuple[int, int]) -> Tensor:
        return F.conv2d(x, weight, bias, stride, padding, 1, weight.shape[0])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = _input_grad(grad, x, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_grad(grad, x, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum((0, 2, 3))
        return grad_x, grad_weight, grad_bias, None, None


def _input_grad(grad: Tensor, x: Tensor, weight: Tensor, stride: int,
                padding: tuple[int, int]) -> Tensor:
    """(B, C, P, Q) -> (B, C, H, W)."""
    dtype = x.dtype if stride == 1 else torch.promote_types(x.dtype, torch.float32)
    # Only the shape and the memory format of the input are read.
    like = x if dtype == x.dtype else torch.empty_like(x, dtype=dtype)
    grad_x = _conv_backward(grad.to(dtype), like, weight.to(dtype), stride, padding,
                            [True, False, False])[0]
    return grad_x.to(x.dtype)


def _weight_grad(grad: Tensor, x: Tensor, weight: Tensor, stride: int,
                 padding: tuple[int, int]) -> Tensor:
    """(B, C, P, Q) and (B, C, H, W) -> (C, 1, K, K)."""
    kernel = weight.shape[2]
    if kernel <= _WINDOW:
        return _conv_backward(grad, x, weight, stride, padding, [False, True, False])[1]
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    rows, columns = (_WINDOW + (size - 1) * stride for size in grad.shape[2:])
    window = weight.new_empty(weight.shape[0], 1, _WINDOW, _WINDOW)
    grad_weight = torch.empty_like(weight)
    # The last window may overlap the one before it; both have the same values there.
    starts = [*range(0, kernel - _WINDOW, _WINDOW), kernel - _WINDOW]
    for top in starts:
        for left in starts:
            shifted = x[:, :, top : top + rows, left : left + columns]
            grad_weight[:, :, top : top + _WINDOW, left : left + _WINDOW] = _conv_backward(
                grad, shifted.contiguous(memory_format=torch.channels_last), window, stride,
                (0, 0), [False, True, False])[1]
    return grad_weight


def _conv_backward(grad: Tensor, x: Tensor, weight: Tensor, stride: int,
                   padding: tuple[int, int], output_mask: list[bool]) -> tuple[Tensor, ...]:
    gradients: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [stride, stride], list(padding), [1, 1], False, [0, 0],
        weight.shape[0], output_mask)
    return gradients
