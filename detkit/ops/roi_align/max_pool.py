"""RoIAlign that takes the highest sample of each bin, in plain torch for any device.

Legend: B images, C channels, H x W cells; R RoIs; P x Q bins.

Source: RoIAlign (arXiv 1703.06870), with max in place of the average as its section 3 allows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.roi_align.samples import Samples, bins_along, samples_along


def highest_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> None:
    """Write the highest sample of each bin, and which one it is, into the three outputs.

    Args:
        features: (B, C, H, W), any floating dtype.
        rois: (R, 5) float32 or float64: image, x1, y1, x2, y2, pixels; R > 0. Its dtype is that
            of the interpolation.
        output: (R, C, P, Q), filled; 0 for an RoI without samples. Samples off the map are 0.
        argmax_y: (R, C, P, Q), filled: the sample's number along y in its bin, -1 without
            samples. mmcv has positions there, which a half precision could not hold; nobody but
            the backward pass reads it.
        argmax_x: the same along x.
        scale: cells for one pixel.
        sampling_ratio: samples along each side of a bin; 0 for one for each cell begun.
        aligned: whether pixels' centres, not their corners, lie on whole coordinates.
    """
    down, across = _samples(rois, output, features.shape[2:], scale, sampling_ratio, aligned)
    image = rois[:, 0].long()[:, None, None]
    rows = features.permute(0, 2, 3, 1)
    shape = (output.shape[0], output.shape[2], output.shape[3], output.shape[1])
    highest = rois.new_full(shape, -torch.inf)
    best_y = rois.new_full(shape, -1)
    best_x = rois.new_full(shape, -1)
    # Step through the samples of all bins at once: as many steps as the largest bin has samples.
    for i in range(down.low.shape[2]):
        for j in range(across.low.shape[2]):
            value = torch.zeros_like(highest)
            for y, x, weight in _corners(down, across, i, j):
                value += rows[image, y, x].to(rois.dtype) * weight[..., None]
            exists = (down.exists[:, :, i] & across.exists[:, :, j])[:, :, None, None]
            better = (value > highest) & exists
            highest = torch.where(better, value, highest)
            best_y = torch.where(better, torch.full_like(best_y, i), best_y)
            best_x = torch.where(better, torch.full_like(best_x, j), best_x)
    highest = torch.where(best_y < 0, torch.zeros_like(highest), highest)
    output.copy_(highest.permute(0, 3, 1, 2))
    argmax_y.copy_(best_y.permute(0, 3, 1, 2))
    argmax_x.copy_(best_x.permute(0, 3, 1, 2))


def highest_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> None:
    """Give each bin's gradient to the cells that its highest sample lies between.

    Args:
        grad_output: (R, C, P, Q), any floating dtype; R > 0.
        rois: as for the forward pass, as are scale, sampling_ratio and aligned.
        argmax_y: (R, C, P, Q) of the forward pass, as is argmax_x.
        grad_input: (B, C, H, W), filled.
    """
    channels, height, width = grad_input.shape[1:]
    down, across = _samples(rois, grad_output, (height, width), scale, sampling_ratio, aligned)
    total = rois.new_zeros(grad_input.numel())
    if down.low.shape[2] and across.low.shape[2]:
        y_of, x_of = argmax_y.long(), argmax_x.long()
        shares = torch.where(y_of >= 0, grad_output.to(rois.dtype), 0.0)
        channel = torch.arange(channels, device=rois.device)[:, None, None]
        plane = rois[:, 0].long()[:, None, None, None] * channels + channel
        for y, y_weight in ((down.low, down.low_weight), (down.high, down.high_weight)):
            y, y_weight = _chosen(y, y_of, 2), _chosen(y_weight, y_of, 2)
            for x, x_weight in ((across.low, across.low_weight), (across.high, across.high_weight)):
                x, x_weight = _chosen(x, x_of, 3), _chosen(x_weight, x_of, 3)
                cell = (plane * height + y) * width + x
                total.index_add_(0, cell.flatten(), (shares * y_weight * x_weight).flatten())
    grad_input.copy_(total.view(grad_input.shape))


def _samples(
    rois: Tensor,
    pooled: Tensor,
    map_hw: tuple[int, int] | torch.Size,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> tuple[Samples, Samples]:
    bins_y, bins_x = pooled.shape[2:]
    along_y = bins_along(rois[:, 2], rois[:, 4], bins_y, scale, sampling_ratio, aligned)
    along_x = bins_along(rois[:, 1], rois[:, 3], bins_x, scale, sampling_ratio, aligned)
    return samples_along(along_y, bins_y, map_hw[0]), samples_along(along_x, bins_x, map_hw[1])


def _corners(
    down: Samples, across: Samples, i: int, j: int
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Give the four cells around sample (i, j) of all bins: y (R, P, 1), x (R, 1, Q), weights."""
    return [
        (y[:, :, i, None], x[:, None, :, j], y_weight[:, :, i, None] * x_weight[:, None, :, j])
        for y, y_weight in ((down.low, down.low_weight), (down.high, down.high_weight))
        for x, x_weight in ((across.low, across.low_weight), (across.high, across.high_weight))
    ]


def _chosen(values: Tensor, number: Tensor, axis: int) -> Tensor:
    """Pick from (R, bins, S) the sample ``number`` (R, C, P, Q) of the bin along ``axis``."""
    bins = torch.arange(values.shape[1], device=values.device)
    bins = bins[:, None] if axis == 2 else bins
    roi = torch.arange(values.shape[0], device=values.device)[:, None, None, None]
    return values[roi, bins, number.clamp(min=0)]
