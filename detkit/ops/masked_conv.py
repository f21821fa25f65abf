"""Convolution at selected points (``mmcv.ops.MaskedConv2d``), with mmcv's signatures.

mmcv gathers the windows around the points as columns, multiplies them by the weight, and scatters
the products. It has no backward pass: the operator is for inference.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from detkit.ops.precision import no_grad_no_autocast


def masked_im2col_forward(
    im: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Write the window around each point as a column.

    Args:
        im: (1, C, H, W) floating point.
        mask_h_idx, mask_w_idx: (N,) int64, rows 0..H-1 and columns 0..W-1 of the points in a
            stride-1 output: window n covers input rows h - pad_h to h - pad_h + kernel_h - 1.
        col: (C * kernel_h * kernel_w, N), overwritten; outside the image it is 0. N may be 0.
    """
    with no_grad_no_autocast(im.device):
        # Padding at the bottom right for the windows of points in the last row and column.
        pad_bottom, pad_right = max(pad_h, kernel_h - 1 - pad_h), max(pad_w, kernel_w - 1 - pad_w)
        padded = pad(im[0], (pad_w, pad_right, pad_h, pad_bottom))
        rows = mask_h_idx[:, None] + torch.arange(kernel_h, device=im.device)
        columns = mask_w_idx[:, None] + torch.arange(kernel_w, device=im.device)
        windows = padded[:, rows[:, :, None], columns[:, None, :]]  # (C, N, kernel_h, kernel_w)
        col.copy_(windows.permute(0, 2, 3, 1).reshape(col.shape))


def masked_col2im_forward(
    col: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    im: Tensor,
    height: int,
    width: int,
    channels: int,
) -> None:
    """Write each column at its point.

    Args:
        col: (C, N) floating.
        mask_h_idx, mask_w_idx: (N,) int64, rows and columns of the points in ``im``.
        im: (1, C, H, W); written at the points, unchanged elsewhere. N may be 0.

    Raises:
        IndexError: a point lies outside ``im`` (on CUDA, a device-side assertion).
    """
    with no_grad_no_autocast(im.device):
        im[0, :, mask_h_idx, mask_w_idx] = col.to(im.dtype)
