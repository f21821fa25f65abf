"""RoIAlign with max pooling of the samples of each bin, in plain torch for any device.

Legend: B images, C channels, H x W feature map; R RoIs; P x Q bins.

Source: RoIAlign (arXiv 1703.06870), with max in place of the average as its section 3 allows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.roi_align.samples import AxisSamples, divide_into_bins, sample_bins


def roi_align_max_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> None:
    """Write the maximum sample of each bin and its index into the three outputs.

    Args:
        features: (B, C, H, W), any floating point dtype.
        rois: (R, 5) float32 or float64: image, x1, y1, x2, y2, pixels; R > 0. Interpolation has
            this dtype.
        output: (R, C, P, Q), filled; 0 for an RoI without samples. Samples outside the map are 0.
        argmax_y: (R, C, P, Q), filled: index of the sample along y in its bin, -1 without
            samples. mmcv has positions instead, which half precision cannot represent; only the
            backward pass reads it.
        argmax_x: the same along x.
        scale: feature map pixels for an image pixel.
        sampling_ratio: samples of a bin along each axis; 0 for its size, rounded up.
        aligned: whether pixel centers, instead of corners, have integer coordinates.
    """
    samples_y, samples_x = _axis_samples(rois, output, features.shape[2:], scale, sampling_ratio,
                                         aligned)
    image = rois[:, 0].long()[:, None, None]
    rows = features.permute(0, 2, 3, 1)
    shape = (output.shape[0], output.shape[2], output.shape[3], output.shape[1])
    highest = rois.new_full(shape, -torch.inf)
    best_y = rois.new_full(shape, -1)
    best_x = rois.new_full(shape, -1)
    # Loop over sample indices, for all bins at once.
    for i in range(samples_y.low.shape[2]):
        for j in range(samples_x.low.shape[2]):
            value = torch.zeros_like(highest)
            for y, x, weight in _corners(samples_y, samples_x, i, j):
                value += rows[image, y, x].to(rois.dtype) * weight[..., None]
            exists = (samples_y.exists[:, :, i] & samples_x.exists[:, :, j])[:, :, None, None]
            better = (value > highest) & exists
            highest = torch.where(better, value, highest)
            best_y = torch.where(better, torch.full_like(best_y, i), best_y)
            best_x = torch.where(better, torch.full_like(best_x, j), best_x)
    highest = torch.where(best_y < 0, torch.zeros_like(highest), highest)
    output.copy_(highest.permute(0, 3, 1, 2))
    argmax_y.copy_(best_y.permute(0, 3, 1, 2))
    argmax_x.copy_(best_x.permute(0, 3, 1, 2))


def roi_align_max_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> None:
    """Add each bin's gradient to the pixels around its maximum sample.

    Args:
        grad_output: (R, C, P, Q), any floating point dtype; R > 0.
        rois: as for the forward pass, as are scale, sampling_ratio and aligned.
        argmax_y: (R, C, P, Q) of the forward pass, as is argmax_x.
        grad_input: (B, C, H, W), filled.
    """
    channels, height, width = grad_input.shape[1:]
    samples_y, samples_x = _axis_samples(rois, grad_output, (height, width), scale, sampling_ratio,
                                         aligned)
    total = rois.new_zeros(grad_input.numel())
    if samples_y.low.shape[2] and samples_x.low.shape[2]:
        index_y, index_x = argmax_y.long(), argmax_x.long()
        bin_grads = torch.where(index_y >= 0, grad_output.to(rois.dtype), 0.0)
        channel = torch.arange(channels, device=rois.device)[:, None, None]
        plane = rois[:, 0].long()[:, None, None, None] * channels + channel
        for y, y_weight in (
            (samples_y.low, samples_y.low_weight),
            (samples_y.high, samples_y.high_weight),
        ):
            y, y_weight = _gather_samples(y, index_y, 2), _gather_samples(y_weight, index_y, 2)
            for x, x_weight in (
                (samples_x.low, samples_x.low_weight),
                (samples_x.high, samples_x.high_weight),
            ):
                x, x_weight = _gather_samples(x, index_x, 3), _gather_samples(x_weight, index_x, 3)
                cell = (plane * height + y) * width + x
                total.index_add_(0, cell.flatten(), (bin_grads * y_weight * x_weight).flatten())
    grad_input.copy_(total.view(grad_input.shape))


def _axis_samples(
    rois: Tensor,
    pooled: Tensor,
    map_hw: tuple[int, int] | torch.Size,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> tuple[AxisSamples, AxisSamples]:
    bins_y, bins_x = pooled.shape[2:]
    along_y = divide_into_bins(rois[:, 2], rois[:, 4], bins_y, scale, sampling_ratio, aligned)
    along_x = divide_into_bins(rois[:, 1], rois[:, 3], bins_x, scale, sampling_ratio, aligned)
    return sample_bins(along_y, bins_y, map_hw[0]), sample_bins(along_x, bins_x, map_hw[1])


def _corners(
    samples_y: AxisSamples, samples_x: AxisSamples, i: int, j: int
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The four pixels around sample (i, j) of all bins: y (R, P, 1), x (R, 1, Q), weights."""
    return [
        (y[:, :, i, None], x[:, None, :, j], y_weight[:, :, i, None] * x_weight[:, None, :, j])
        for y, y_weight in (
            (samples_y.low, samples_y.low_weight),
            (samples_y.high, samples_y.high_weight),
        )
        for x, x_weight in (
            (samples_x.low, samples_x.low_weight),
            (samples_x.high, samples_x.high_weight),
        )
    ]


def _gather_samples(values: Tensor, sample_index: Tensor, axis: int) -> Tensor:
    """Gather from (R, bins, S) the sample ``sample_index`` (R, C, P, Q) of the bin on ``axis``."""
    bins = torch.arange(values.shape[1], device=values.device)
    bins = bins[:, None] if axis == 2 else bins
    roi = torch.arange(values.shape[0], device=values.device)[:, None, None, None]
    return values[roi, bins, sample_index.clamp(min=0)]
