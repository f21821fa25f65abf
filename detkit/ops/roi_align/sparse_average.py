"""RoIAlign's average on the CPU as a product with a sparse matrix, forward and backward.

torchvision's kernel uses one thread, and its backward pass computes the weights again for each
channel. Here the weights are computed once for all channels (``taps``), and the sums run over
contiguous channels in torch's embedding_bag, which is threaded and vectorized: forward a bin is a
weighted sum of pixels, backward a pixel is a weighted sum of bins. No two threads write to the same
address, so the result does not depend on their number.

Legend: B images, C channels, H x W feature map; R RoIs; P x Q bins.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.roi_align.taps import make_taps

# Pixels are copied back into a map in blocks that fit a core's cache: at 256 x 200 x 336, on one
# core, 32 ms instead of 94. Smaller blocks are not faster, and each synchronizes all threads.
# Blocks do not help when flattening a map.
BLOCK_VALUES = 2**18


def roi_align_avg_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> None:
    """Write the average of each bin into ``output`` (R, C, P, Q), any floating point dtype; R > 0.

    Args:
        features: (B, C, H, W), any floating point dtype.
        rois: (R, 5) float32 or float64, the dtype of the sums.
        output: filled.
        scale: feature map pixels for an image pixel.
        sampling_ratio: samples of a bin along each axis; 0 for its size, rounded up.
        aligned: whether pixel centers, instead of corners, have integer coordinates.
    """
    num_rois, channels, bins = rois.shape[0], features.shape[1], output.shape[2:]
    map_hw = (features.shape[2], features.shape[3])
    taps = make_taps(rois, (bins[0], bins[1]), map_hw, scale, sampling_ratio, aligned)
    lengths = taps.lengths.repeat_interleave(bins.numel())
    cells = _flatten_cells(features, rois.dtype)
    rows = _weighted_sums(cells, taps.cells, lengths.cumsum(0) - lengths, taps.weights)
    bins_last = rows.view(num_rois, bins.numel(), channels).transpose(1, 2)
    rank = torch.empty_like(taps.order)
    rank[taps.order] = torch.arange(num_rois)
    if output.is_contiguous() and output.dtype == rows.dtype:
        torch.index_select(bins_last, 0, rank, out=output.view(bins_last.shape))
    else:
        output.copy_(bins_last.index_select(0, rank).view(output.shape))


def roi_align_avg_backward(
    grad_output: Tensor,
    rois: Tensor,
    grad_input: Tensor,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> None:
    """Write the gradient of the features into ``grad_input`` (B, C, H, W); R > 0.

    Args:
        grad_output: (R, C, P, Q), any floating point dtype.
        rois: as for the forward pass, as are scale, sampling_ratio and aligned.
        grad_input: any floating point dtype, filled.
    """
    batch, channels, height, width = grad_input.shape
    bins = grad_output.shape[2:]
    num_bins = bins.numel()
    taps = make_taps(rois, (bins[0], bins[1]), (height, width), scale, sampling_ratio, aligned)
    row = (taps.order[:, None] * num_bins + torch.arange(num_bins)).flatten().int()
    rows = row.repeat_interleave(taps.lengths.repeat_interleave(num_bins),
                                 output_size=len(taps.cells))
    cells, by_cell = taps.cells.sort(stable=True)
    starts = torch.searchsorted(cells, torch.arange(batch * height * width, dtype=torch.int32))
    bins_first = grad_output.flatten(2).transpose(1, 2).to(rois.dtype).reshape(-1, channels)
    sums = _weighted_sums(bins_first, rows[by_cell], starts, taps.weights[by_cell])
    _copy_cells_back(sums.view(batch, height * width, channels), grad_input)


def _weighted_sums(table: Tensor, index: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """Sum rows of ``table`` (N, C) in bags with offsets ``starts``, possibly empty: (bags, C)."""
    # nn.functional.embedding_bag calls this private function; the public one also keeps tensors for
    # a gradient of the weights, which is not needed here
    sums: Tensor = torch._embedding_bag_forward_only(
        table, index, starts.to(index.dtype), False, 0, False, weights
    )[0]
    return sums


def _flatten_cells(features: Tensor, dtype: torch.dtype) -> Tensor:
    """Reshape (B, C, H, W) to (B * H * W, C) of ``dtype``; no copy for channels_last maps."""
    cells_last = features.flatten(2).transpose(1, 2)
    if features.dtype == dtype and cells_last.is_contiguous():
        return cells_last.flatten(0, 1)
    return torch.empty(cells_last.shape, dtype=dtype).copy_(cells_last).flatten(0, 1)


def _copy_cells_back(cells: Tensor, features: Tensor) -> None:
    """Write (B, H * W, C) into (B, C, H, W)."""
    cells_last = features.view(*features.shape[:2], -1).transpose(1, 2)
    block_size = max(64, BLOCK_VALUES // features.shape[1])
    for first in range(0, cells.shape[1], block_size):
        block = slice(first, first + block_size)
        cells_last[:, block].copy_(cells[:, block])
