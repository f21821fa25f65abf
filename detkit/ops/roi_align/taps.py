"""RoIAlign's average as a sparse matrix: the pixels that each bin reads, and their weights.

The average of bilinear samples of a bin is separable: weights along y times weights along x. Where
samples are at most a pixel apart, g of them touch g + 1 pixels, so that a bin reads (g + 1)^2
pixels instead of the 4 g^2 of separate samples.

Legend: R RoIs; P x Q bins; K and L pixels that a bin reads along y and x; E entries of the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from detkit.ops.roi_align.samples import AxisBins, divide_into_bins, sample_bins

# Sample counts are rounded up to the next of these, with weights 0 for the excess. Few buckets give
# few groups of RoIs; close ones give little excess.
SAMPLE_COUNT_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


@dataclass(frozen=True)
class SparseTaps:
    """The sparse matrix; all rows of an RoI have the same length, and RoIs are sorted by it.

    Args:
        order: (R,) int64, the sorted order of the RoIs.
        cells: (E,) int32, column indices: (image * H + y) * W + x.
        weights: (E,) floating point.
        lengths: (R,) int64, entries in each of an RoI's P * Q rows, in sorted order.
    """

    order: Tensor
    cells: Tensor
    weights: Tensor
    lengths: Tensor


def make_taps(
    rois: Tensor,
    bins_hw: tuple[int, int],
    map_hw: tuple[int, int],
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> SparseTaps:
    """Compute the sparse matrix from pixels (images * H * W) to bins (R * P * Q).

    Args:
        rois: (R, 5) floating point: image, x1, y1, x2, y2, pixels of the network input; R > 0.
        bins_hw: P and Q.
        map_hw: H and W.
        scale: feature map pixels for an image pixel.
        sampling_ratio: samples of a bin along each axis; 0 for its size, rounded up.
        aligned: whether pixel centers, instead of corners, have integer coordinates.

    Source: RoIAlign of Mask R-CNN (arXiv 1703.06870); edges as in torchvision's kernel.
    """
    height, width = map_hw
    along_y = divide_into_bins(rois[:, 2], rois[:, 4], bins_hw[0], scale, sampling_ratio, aligned)
    along_x = divide_into_bins(rois[:, 1], rois[:, 3], bins_hw[1], scale, sampling_ratio, aligned)
    y_cell, y_weight, y_length = _axis_taps(along_y, bins_hw[0], height)
    x_cell, x_weight, x_length = _axis_taps(along_x, bins_hw[1], width)
    image = rois[:, 0].int()[:, None, None]
    y_cell = (y_cell + image * height) * width

    key_base = int(x_length.max()) + 1
    # One key for the two lengths: torch's unique is slow for rows.
    keys, order = (y_length * key_base + x_length).sort(stable=True)
    keys, counts = torch.unique_consecutive(keys, return_counts=True)
    lengths = torch.stack((keys // key_base, keys % key_base), 1)
    rows = bins_hw[0] * bins_hw[1]
    total = int((lengths.prod(1) * counts).sum()) * rows
    cells = torch.empty(total, dtype=torch.int32)
    weights = torch.empty(total, dtype=rois.dtype)
    roi = entry = 0
    for (k, el), count in zip(lengths.tolist(), counts.tolist()):
        roi_index = order[roi : roi + count]
        block = slice(entry, entry + count * rows * k * el)
        shape = (count, *bins_hw, k, el)
        y, x = y_cell[roi_index, :, :k], x_cell[roi_index, :, :el]
        torch.add(y[:, :, None, :, None], x[:, None, :, None, :], out=cells[block].view(shape))
        y, x = y_weight[roi_index, :, :k], x_weight[roi_index, :, :el]
        torch.mul(y[:, :, None, :, None], x[:, None, :, None, :], out=weights[block].view(shape))
        roi, entry = roi + count, block.stop
    return SparseTaps(order, cells, weights, (y_length * x_length)[order])


def _axis_taps(bins: AxisBins, num_bins: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels (R, P, K) int32, weights (R, P, K), and the number of K that each RoI uses, (R,)."""
    samples = sample_bins(bins, num_bins, size)
    max_samples = samples.low.shape[2]
    if max_samples == 0:
        empty = torch.zeros(len(bins.start), num_bins, 1)
        return empty.int(), empty.to(bins.start.dtype), torch.ones_like(bins.samples)
    sample_weight = 1 / bins.samples.clamp(min=1).to(bins.start.dtype)[:, None, None]
    low_weight, high_weight = (samples.low_weight * sample_weight,
                               samples.high_weight * sample_weight)
    buckets = torch.tensor([count for count in SAMPLE_COUNT_BUCKETS if count < max_samples] +
                           [max_samples])
    used = buckets[torch.searchsorted(buckets, bins.samples)]
    spacing = bins.step / bins.samples.clamp(min=1)
    if not bool(((spacing >= 0) & (spacing <= 1)).all()):
        cells = torch.cat((samples.low[..., None], samples.high[..., None]), -1).flatten(2)
        weights = torch.stack((low_weight, high_weight), -1).flatten(2)
        return cells.int(), weights, used * 2
    first = samples.low[:, :, :1]
    cell_offset = (samples.low - first).clamp(0, max_samples - 1)
    weights = low_weight.new_zeros(*cell_offset.shape[:2], max_samples + 1)
    weights.scatter_add_(2, cell_offset, low_weight).scatter_add_(2, cell_offset + 1, high_weight)
    cells = (first + torch.arange(max_samples + 1)).clamp(max=size - 1)
    return cells.int(), weights, used + 1
