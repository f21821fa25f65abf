"""RoIPool with the signatures of mmcv's extension, in plain torch for any device.

Legend: B images, C channels, H x W feature map; R RoIs; P x Q bins of an RoI.
torchvision's RoIPool first rounds the corners of an RoI to pixels and mmcv's does not; they agree
for integer corners at scale 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.precision import working_dtype


def roi_pool_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Write the maximum of each bin and its position into ``output`` and ``argmax``.

    Args:
        features: (B, C, H, W) floating point.
        rois: (R, 5) floating point: image, x1, y1, x2, y2, pixels of the network input. R may be 0.
        output: (R, C, P, Q), filled; 0 for empty bins, and for RoIs that are not finite.
        argmax: (R, C, P, Q) int32, filled: y * W + x of the maximum, the first of equal ones;
            -1 for empty bins.
        pooled_height: P.
        pooled_width: Q.
        spatial_scale: feature map pixels for an image pixel.

    Source: Fast R-CNN (arXiv 1504.08083), section 2.1.
    """
    if output.numel() == 0:
        return
    height, width = features.shape[2:]
    boxes = rois.to(working_dtype(rois))
    # An RoI that is not finite, as in a diverged training, gives 0 as in RoIAlign: as an index it
    # would be out of bounds.
    finite = torch.isfinite(boxes).all(1)
    boxes = torch.where(finite[:, None], boxes, torch.zeros_like(boxes))
    image = boxes[:, 0].long()[:, None, None]
    left, right = _bin_edges(boxes[:, 1], boxes[:, 3], pooled_width, spatial_scale, width)
    top, bottom = _bin_edges(boxes[:, 2], boxes[:, 4], pooled_height, spatial_scale, height)
    has_area = (boxes[:, 3] + 1 > boxes[:, 1]) & (boxes[:, 4] + 1 > boxes[:, 2]) & finite
    rows = features.permute(0, 2, 3, 1)  # (B, H, W, C): gathered channels are contiguous
    highest = rows.new_full(
        (rois.shape[0], pooled_height, pooled_width, rows.shape[3]), torch.finfo(rows.dtype).min
    )
    best_cell = torch.full(highest.shape, -1, dtype=torch.int32, device=rows.device)
    # Loop over positions within a bin, for all bins at once.
    for dy in range(int((bottom - top).max().clamp(min=0))):
        for dx in range(int((right - left).max().clamp(min=0))):
            y, x = (top + dy)[:, :, None], (left + dx)[:, None, :]
            inside = (y < bottom[:, :, None]) & (x < right[:, None, :])
            inside &= has_area[:, None, None]
            y, x = y.clamp(max=height - 1), x.clamp(max=width - 1)
            value = rows[image, y, x]
            is_higher = (value > highest) & inside[..., None]
            highest = torch.where(is_higher, value, highest)
            best_cell = torch.where(is_higher, (y * width + x)[..., None].int(), best_cell)
    highest = torch.where(best_cell < 0, torch.zeros_like(highest), highest)
    output.copy_(highest.permute(0, 3, 1, 2))
    argmax.copy_(best_cell.permute(0, 3, 1, 2))


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Add each bin's gradient to the position of its maximum.

    Args:
        grad_output: (R, C, P, Q) floating point. R may be 0.
        rois: as for the forward pass, as are pooled_height, pooled_width and spatial_scale.
        argmax: (R, C, P, Q) int32 of the forward pass.
        grad_input: (B, C, H, W), filled.
    """
    channels, height, width = grad_input.shape[1:]
    dtype = working_dtype(grad_input)
    total = grad_input.new_zeros(grad_input.numel(), dtype=dtype)
    if grad_output.numel():
        channel = torch.arange(channels, device=rois.device)[None, :, None, None]
        plane = rois[:, 0].long()[:, None, None, None] * channels + channel
        cell = plane * (height * width) + argmax.clamp(min=0)
        weighted_grad = grad_output.to(dtype) * (argmax >= 0)
        total.index_add_(0, cell.reshape(-1), weighted_grad.reshape(-1))
    grad_input.copy_(total.view(grad_input.shape))


def _bin_edges(
    low: Tensor, high: Tensor, bins: int, scale: float, size: int
) -> tuple[Tensor, Tensor]:
    """The first pixel of each bin and the one after its last, both (R, bins) int64."""
    start = low * scale
    step = ((high + 1) * scale - start) / bins
    bin_index = torch.arange(bins, device=low.device)
    first = (bin_index * step[:, None] + start[:, None]).floor().clamp(0, size)
    last = ((bin_index + 1) * step[:, None] + start[:, None]).ceil().clamp(0, size)
    return first.long(), last.long()
