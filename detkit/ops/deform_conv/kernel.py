"""Deformable convolution with and without mask, by torchvision's kernels.

B: images; C, O: channels in and out; H, W and P, Q: height and width in and out; K: taps of the
window (kernel height x width); G: groups; D: deform groups of C/D channels with common
offsets. Offsets are ordered y0, x0, y1, x1, ... in pixels of the input, by deform group.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torchvision  # noqa: F401  (registers its kernels with torch)
from torch import Tensor

from detkit.ops.precision import no_grad_no_autocast, working_dtype


class ConvParams(NamedTuple):
    """Geometry of the convolution, as (y, x) pairs in pixels of the input, and its groups."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    deform_groups: int


class DeformConvGradients(NamedTuple):
    """Gradients in the working dtype, each shaped as its tensor."""

    input: Tensor
    weight: Tensor
    offset: Tensor
    mask: Tensor
    bias: Tensor


def deform_conv2d_forward(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    params: ConvParams,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Compute a deformable convolution, with a mask for each tap if given.

    Args:
        input: (B, C, H, W) floating point. B may be 0.
        offset: (B, D * K * 2, P, Q), pixels of the input; taps outside it read 0.
        weight: (O, C / G, kernel height, kernel width).
        params: strides, paddings, dilations and groups.
        mask: (B, D * K, P, Q), unitless, or None for ones.
        bias: (O,) or None for zeros.

    Returns:
        (B, O, P, Q) in the working dtype: float64 if any argument is, else float32.

    Raises:
        RuntimeError: shapes do not match (torchvision's message).

    Source: arXiv 1703.06211 and, with the mask, 1811.11168. torchvision's kernel.
    """
    with no_grad_no_autocast(input.device):
        arguments, dtype = _kernel_arguments(input, offset, weight, params, mask, bias)
        result: Tensor = torch.ops.torchvision.deform_conv2d(*arguments)
        return result.to(dtype)


def deform_conv2d_backward(
    grad_output: Tensor,
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    params: ConvParams,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
) -> DeformConvGradients:
    """Compute the gradients of ``deform_conv2d_forward``.

    Args:
        grad_output: (B, O, P, Q) floating point. The others as in the forward pass.

    Returns:
        All five gradients; the mask's is (B, 0) without a mask.

    Raises:
        RuntimeError: shapes do not match (torchvision's message).

    Source: torchvision's kernel.
    """
    with no_grad_no_autocast(input.device):
        arguments, dtype = _kernel_arguments(input, offset, weight, params, mask, bias)
        gradients = torch.ops.torchvision._deform_conv2d_backward(
            grad_output.to(dtype).contiguous(), *arguments
        )
        return DeformConvGradients(*gradients)


def _kernel_arguments(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    params: ConvParams,
    mask: Tensor | None,
    bias: Tensor | None,
) -> tuple[tuple[Tensor | int | bool, ...], torch.dtype]:
    dtype = working_dtype(input, offset, weight)
    # The kernels do not accept None: no mask is an empty tensor and a flag, no bias is zeros.
    mask_or_empty = input.new_zeros((input.shape[0], 0)) if mask is None else mask
    bias_or_zeros = input.new_zeros(weight.shape[0]) if bias is None else bias
    tensors = (input, weight, offset, mask_or_empty, bias_or_zeros)
    prepared = tuple(tensor.detach().to(dtype).contiguous() for tensor in tensors)
    geometry = (*params.stride, *params.padding, *params.dilation)
    return (*prepared, *geometry, params.groups, params.deform_groups, mask is not None), dtype
