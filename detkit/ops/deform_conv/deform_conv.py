"""Deformable convolution v1 (mmcv's ``DCN``) at the level of its extension.

Shapes and the order of offsets: see ``detkit.ops.deform_conv.kernel``. Argument names are mmcv's:
W and H at the end of ``kW``, ``dH``, ... are x and y; d is the stride. ``im2col_step``, the number
of images that mmcv's kernel takes at once, changes no result; torchvision's chooses its own.
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
        columns, ones: scratch of mmcv's kernel; left alone.

    Raises:
        RuntimeError: shapes do not fit each other (torchvision's message).
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
        columns: scratch that mmcv hands to ``deform_conv_backward_parameters`` of the same step
            next. The weight's gradient, which torchvision's kernel gives along with the others,
            is left in it, so that the whole is not worked out twice.
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
        columns: empty, or what ``deform_conv_backward_input`` left; emptied.
    """
    if columns.shape != gradWeight.shape:
        params = ConvParams((dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
        kernel = gradWeight.new_zeros(gradWeight.shape)
        gradient = deform_conv2d_backward(gradOutput, input, offset, kernel, params).weight
    else:
        gradient = columns.clone()
        columns.resize_(0)
    gradWeight.add_(gradient.to(gradWeight.dtype), alpha=scale)
