"""Deformable convolution v2 (mmcv's ``DCNv2``) at the level of its extension.

Shapes and the order of offsets: see ``detkit.ops.deform_kernel``. Argument names are mmcv's.
"""

from __future__ import annotations

from torch import Tensor

from detkit.ops.deform_kernel import Window, deform_convolve, deform_gradients


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
        bias: (O,), or anything when ``with_bias`` is false.
        output: (B, O, P, Q), overwritten, in its own dtype. B may be 0.
        ones, columns: scratch of mmcv's kernel; left alone.

    Raises:
        RuntimeError: shapes do not fit each other (torchvision's message).
    """
    window = Window(
        (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group, deformable_group
    )
    used_bias = bias if with_bias else None
    output.detach().copy_(deform_convolve(input, offset, weight, window, mask, used_bias))


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
        grad_bias: (O,), overwritten; left alone when ``with_bias`` is false.
    """
    window = Window(
        (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group, deformable_group
    )
    used_bias = bias if with_bias else None
    gradients = deform_gradients(grad_output, input, offset, weight, window, mask, used_bias)
    grad_input.copy_(gradients.input)
    grad_weight.copy_(gradients.weight)
    grad_offset.copy_(gradients.offset)
    grad_mask.copy_(gradients.mask)
    if with_bias:
        grad_bias.copy_(gradients.bias)
