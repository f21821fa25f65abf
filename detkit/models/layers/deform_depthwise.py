"""Depthwise deformable convolution on the CPU, as weighted sums of rows of a table.

B: images; C: channels; H, W and P, Q: height and width in and out; K: taps of the window.

torchvision's kernel multiplies one small matrix for each channel. Here the channels of a pixel are
a row of a table, and each tap is a weighted sum of the four rows around its position.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def deform_depthwise(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    """Apply a depthwise deformable convolution.

    Args:
        x: (B, C, H, W), float32 or float64, as the other tensors. B may be 0.
        offset: (B, 2K, P, Q), y0, x0, y1, x1, ... in pixels of ``x``; 0 is read outside of it.
        weight: (C, 1, kernel height, kernel width).
        bias: (C,) or None for zeros.
        mask: (B, K, P, Q), unitless, or None for ones.
        stride, padding, dilation: (y, x) pairs, pixels of ``x``.

    Returns:
        (B, C, P, Q), in channels_last memory.

    Source: arXiv 1703.06211 and 1811.11168. Agrees with torchvision.ops.deform_conv2d, gradients
    included.
    """
    batch, channels, height, width = x.shape
    kernel = (weight.shape[2], weight.shape[3])
    rows, columns = offset.shape[2:]
    corners, corner_weights = _corners(
        offset, mask, (height, width), kernel, stride, padding, dilation
    )
    table = x.permute(0, 2, 3, 1).reshape(batch * height * width, channels)
    taps = weight.flatten(1).t().contiguous()
    out = x.new_zeros(channels) if bias is None else bias
    out = out.expand(batch * rows * columns, channels)
    for cells, cell_weights, tap_weight in zip(corners, corner_weights, taps):
        sampled = F.embedding_bag(cells, table, per_sample_weights=cell_weights, mode="sum")
        out = torch.addcmul(out, sampled, tap_weight)
    return out.view(batch, rows, columns, channels).permute(0, 3, 1, 2)


def _corners(
    offset: Tensor,
    mask: Tensor | None,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Rows of the table around each tap and their bilinear weights, both (K, BPQ, 4)."""
    batch, _, rows, columns = offset.shape
    device, dtype = offset.device, offset.dtype
    tap = torch.arange(kernel[0] * kernel[1], device=device).view(-1, 1, 1)
    row = torch.arange(rows, device=device).view(-1, 1) * stride[0] - padding[0]
    column = torch.arange(columns, device=device) * stride[1] - padding[1]
    y = offset[:, 0::2] + (tap // kernel[1] * dilation[0] + row).to(dtype)
    x = offset[:, 1::2] + (tap % kernel[1] * dilation[1] + column).to(dtype)
    # Positions two or more pixels outside read 0, so clamping them keeps the result and bounds the
    # indices. Clamping at one pixel outside would drop a gradient.
    y, x = y.clamp(-2, size[0] + 1), x.clamp(-2, size[1] + 1)
    top, left = y.detach().floor(), x.detach().floor()
    dy, dx = y - top, x - left
    corner_weights = torch.stack(
        [(1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx], -1
    )
    if mask is not None:
        corner_weights = corner_weights * mask.unsqueeze(-1)
    ys = torch.stack([top, top, top + 1, top + 1], -1).long()
    xs = torch.stack([left, left + 1, left, left + 1], -1).long()
    inside = (ys >= 0) & (ys < size[0]) & (xs >= 0) & (xs < size[1])
    batch_index = torch.arange(batch, device=device).view(-1, 1, 1, 1, 1)
    pixel = ys.clamp(0, size[0] - 1) * size[1] + xs.clamp(0, size[1] - 1)
    shape = (kernel[0] * kernel[1], batch * rows * columns, 4)
    corners = (batch_index * (size[0] * size[1]) + pixel).transpose(0, 1).reshape(shape)
    return corners, (corner_weights * inside).transpose(0, 1).reshape(shape)
