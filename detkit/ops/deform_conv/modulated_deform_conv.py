"""Deformable convolution v2 (mmcv's ``DCNv2``) with the signatures of its extension.

Shapes and the order of offsets: see ``detkit.ops.deform_conv.kernel``. Argument names are mmcv's.

Offsets and masks may have more positions than the output: mmcv's kernel reads an image's values in
memory order as if they had the output's height and width. DyHead does so where it convolves the
next coarser level with its own offsets, and its published weights were trained with it, so this
behavior is kept.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detkit.ops.deform_conv.kernel import ConvParams, deform_conv2d_backward, deform_conv2d_forward


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Write the masked deformable convolution of ``input`` into ``output``.

    Args:
        bias: (O,); ignored without ``with_bias``.
        output: (B, O, P, Q), overwritten, in its own dtype. B may be 0.
        ones, columns: scratch buffers of mmcv's kernel; not used.

    Raises:
        RuntimeError: shapes do not match (torchvision's message).
    """
    params = ConvParams(
        (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group, deformable_group
    )
    optional_bias = bias if with_bias else None
    offset, mask = _view_as_output(offset, output.shape), _view_as_output(mask, output.shape)
    output.detach().copy_(deform_conv2d_forward(input, offset, weight, params, mask, optional_bias))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Write the gradients of input, weight, bias, offsets and mask.

    Args:
        grad_input, grad_weight, grad_offset, grad_mask: shaped as their tensors; overwritten.
        grad_bias: (O,), overwritten; not used without ``with_bias``.
    """
    params = ConvParams(
        (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group, deformable_group
    )
    optional_bias = bias if with_bias else None
    gradients = deform_conv2d_backward(
        grad_output,
        input,
        _view_as_output(offset, grad_output.shape),
        weight,
        params,
        _view_as_output(mask, grad_output.shape),
        optional_bias,
    )
    grad_input.copy_(gradients.input)
    grad_weight.copy_(gradients.weight)
    grad_offset.copy_(_undo_view(gradients.offset, grad_offset.shape))
    grad_mask.copy_(_undo_view(gradients.mask, grad_mask.shape))
    if with_bias:
        grad_bias.copy_(gradients.bias)


def _view_as_output(values: Tensor, output_shape: torch.Size) -> Tensor:
    """View an image's offsets or masks as if they had the output's height and width."""
    if values.shape[2:] == output_shape[2:]:
        return values
    shape = (*values.shape[:2], *output_shape[2:])
    return values.flatten(1)[:, : math.prod(shape[1:])].reshape(shape)


def _undo_view(gradient: Tensor, shape: torch.Size) -> Tensor:
    """Invert ``_view_as_output``: values that were not read have gradient 0."""
    if gradient.shape == shape:
        return gradient
    full_gradient = gradient.new_zeros(shape)
    full_gradient.view(shape[0], -1)[:, : math.prod(gradient.shape[1:])] = gradient.flatten(1)
    return full_gradient
