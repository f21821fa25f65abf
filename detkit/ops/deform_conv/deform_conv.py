"""Deformable convolution v1 (mmcv's ``DCN``) with the signatures of its extension.

Shapes and the order of offsets: see ``detkit.ops.deform_conv.kernel``. Argument names are mmcv's:
W and H in ``kW``, ``dH``, ... are x and y; d is the stride. ``im2col_step``, the batch size of
mmcv's kernel, does not change the result; torchvision's kernel chooses its own.
"""

from __future__ import annotations

from torch import Tensor

from detkit.ops.deform_conv.kernel import ConvParams, deform_conv2d_backward, deform_conv2d_forward


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Write the deformable convolution of ``input`` into ``output``.

    Args:
        output: (B, O, P, Q), overwritten, in its own dtype. B may be 0.
        columns, ones: scratch buffers of mmcv's kernel; not used.

    Raises:
        RuntimeError: shapes do not match (torchvision's message).
    """
    params = ConvParams((dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    output.detach().copy_(deform_conv2d_forward(input, offset, weight, params))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Write the gradients of the input and of the offsets.

    Args:
        gradInput, gradOffset: shaped as ``input`` and ``offset``; overwritten.
        columns: scratch buffer that mmcv then passes to ``deform_conv_backward_parameters``. The
            weight's gradient, which torchvision's kernel computes with the others, is stored in
            it, so that it is computed once.
    """
    params = ConvParams((dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    gradients = deform_conv2d_backward(gradOutput, input, offset, weight, params)
    gradInput.copy_(gradients.input)
    gradOffset.copy_(gradients.offset)
    columns.resize_(weight.shape).copy_(gradients.weight)


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Add the gradient of the weight, times ``scale``.

    Args:
        gradWeight: (O, C / G, kernel height, kernel width), added to.
        columns: empty, or the gradient from ``deform_conv_backward_input``; emptied.
    """
    if columns.shape != gradWeight.shape:
        params = ConvParams((dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
        kernel = gradWeight.new_zeros(gradWeight.shape)
        gradient = deform_conv2d_backward(gradOutput, input, offset, kernel, params).weight
    else:
        gradient = columns.clone()
        columns.resize_(0)
    gradWeight.add_(gradient.to(gradWeight.dtype), alpha=scale)
