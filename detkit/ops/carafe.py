"""CARAFE upsampling (``mmcv.ops.CARAFE``) at the level of mmcv's extension, in plain torch.

N: images; C: channels; H, W: of the features; s: scale factor; K: kernel size, odd; G: groups, each
of C/G channels with its own masks. Every output position is a weighted sum of the K x K features
around its source position; features outside the map are 0.

The sum has one pass for each of the K * K taps, so it needs memory for one more output, where
unfolding would need K * K times the features.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from detkit.ops.precision import no_grad_no_autocast, working_dtype


def carafe_naive_forward(
    features: Tensor,
    masks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Write the reassembled features into ``output``.

    Args:
        features: (N, C, H, W) floating. N may be 0.
        masks: (N, G * K * K, H * s, W * s) floating; channels by group, then row, then column.
        output: (N, C, H * s, W * s), overwritten.

    Source: CARAFE (arXiv 1905.02188), eq. 4.
    """
    with no_grad_no_autocast(features.device):
        dtype = working_dtype(features, masks)
        weights = _as_cells(masks.to(dtype), group_size, scale_factor)
        cells = _as_cells(output.detach(), group_size, scale_factor)
        total = weights.new_zeros(cells.shape)
        for tap, window in enumerate(_taps(features.to(dtype), kernel_size, group_size)):
            total.addcmul_(window[..., None, :, None], weights[:, :, tap, None])
        output.detach().copy_(total.reshape(output.shape))


def carafe_naive_backward(
    top_grad: Tensor,
    features: Tensor,
    masks: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Write the gradients of the features and of the masks.

    Args:
        top_grad: (N, C, H * s, W * s) floating.
        features, masks: as in the forward pass.
        bottom_grad, mask_grad: shaped as ``features`` and ``masks``; overwritten.
    """
    with no_grad_no_autocast(features.device):
        dtype = working_dtype(top_grad, features, masks)
        grads = _as_cells(top_grad.to(dtype), group_size, scale_factor)
        weights = _as_cells(masks.to(dtype), group_size, scale_factor)
        source = features.to(dtype)
        radius = kernel_size // 2
        padded = pad(torch.zeros_like(source), (radius,) * 4)
        weight_grads = weights.new_zeros(weights.shape)
        windows = _taps(source, kernel_size, group_size)
        window_grads = _windows(padded, kernel_size, group_size)
        for tap, (window, window_grad) in enumerate(zip(windows, window_grads)):
            weight_grads[:, :, tap] = (grads * window[..., None, :, None]).sum(2)
            window_grad += (grads * weights[:, :, tap, None]).sum((-3, -1))
        height, width = source.shape[2:]
        bottom_grad.copy_(padded[..., radius : radius + height, radius : radius + width])
        mask_grad.copy_(weight_grads.reshape(mask_grad.shape))


def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """As ``carafe_naive_forward``, and keep the features for the backward pass.

    Args:
        rfeatures: shaped as ``features``, overwritten with them: mmcv passes only this buffer to
            ``carafe_backward``.
        routput, rmasks: scratch buffers of mmcv's kernel; not used.
    """
    rfeatures.copy_(features.detach())
    carafe_naive_forward(features, masks, output, kernel_size, group_size, scale_factor)


def carafe_backward(
    top_grad: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rtop_grad: Tensor,
    rbottom_grad_hs: Tensor,
    rbottom_grad: Tensor,
    rmask_grad: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """As ``carafe_naive_backward``, with the features that ``carafe_forward`` kept.

    Args:
        rtop_grad, rbottom_grad_hs, rbottom_grad, rmask_grad: scratch buffers of mmcv's kernel; not
            used.
    """
    carafe_naive_backward(
        top_grad, rfeatures, masks, bottom_grad, mask_grad, kernel_size, group_size, scale_factor
    )


def _as_cells(tensor: Tensor, groups: int, scale: int) -> Tensor:
    """View (N, G * X, H * s, W * s) as (N, G, X, H, s, W, s)."""
    images, channels, height, width = tensor.shape
    return tensor.reshape(
        images, groups, channels // groups, height // scale, scale, width // scale, scale
    )


def _taps(features: Tensor, kernel: int, groups: int) -> Iterator[Tensor]:
    """Yield the input of each tap in row order: (N, G, C/G, H, W)."""
    return _windows(pad(features, (kernel // 2,) * 4), kernel, groups)


def _windows(padded: Tensor, kernel: int, groups: int) -> Iterator[Tensor]:
    """Yield the view of a padded map for each tap, in row order."""
    images, channels, height, width = padded.shape
    grouped = padded.view(images, groups, channels // groups, height, width)
    height, width = height - kernel + 1, width - kernel + 1
    for row in range(kernel):
        for column in range(kernel):
            yield grouped[..., row : row + height, column : column + width]
