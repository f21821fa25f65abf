"""Where RoIAlign looks: the bins of each RoI along one axis, and the sample points in them.

Legend: R RoIs; P bins along the axis; S the most samples that a bin has along the axis.
Positions are in cells of the feature map, 0 at the centre of the first cell.

The order of the floating-point operations is the kernels' own: a sample that falls on the edge of
the map, or a length that is a whole number of bins, must be judged as they judge it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AxisBins:
    """The bins of all RoIs along one axis.

    Args:
        start: (R,) floating, where the first bin begins, cells.
        step: (R,) floating, length of a bin, cells; negative for a box turned over.
        samples: (R,) int64, samples in a bin; 0 where the RoI is empty or not finite.
    """

    start: Tensor
    step: Tensor
    samples: Tensor


def divide_into_bins(
    low: Tensor, high: Tensor, num_bins: int, scale: float, sampling_ratio: int, aligned: bool
) -> AxisBins:
    """Divide the side of each RoI from ``low`` to ``high`` (R,), pixels, into ``num_bins`` bins.

    ``scale`` is cells for one pixel. With ``sampling_ratio`` 0 a bin has a sample for each cell
    it has begun. Without ``aligned`` RoIs are half a cell off and at least one cell long.
    """
    offset = 0.5 if aligned else 0.0
    start = low * scale - offset
    length = high * scale - offset - start
    if not aligned:
        length = length.clamp(min=1)
    step = length / num_bins
    usable = torch.isfinite(step) & torch.isfinite(start)
    if sampling_ratio > 0:
        samples = usable.long() * sampling_ratio
    else:
        samples = torch.where(usable, step.ceil().clamp(min=0), torch.zeros_like(step)).long()
    return AxisBins(start, step, samples)


@dataclass(frozen=True)
class AxisSamples:
    """Linear interpolation between two cells for each sample along one axis.

    Args:
        low: (R, P, S) int64, the cell before the sample.
        high: (R, P, S) int64, the cell after it; the same one at the end of the map.
        low_weight: (R, P, S) floating, 0 for samples off the map and for those a bin lacks.
        high_weight: (R, P, S) floating, the same.
        exists: (R, 1, S) bool, whether the bins of an RoI have that sample.
    """

    low: Tensor
    high: Tensor
    low_weight: Tensor
    high_weight: Tensor
    exists: Tensor


def sample_bins(bins: AxisBins, num_bins: int, size: int) -> AxisSamples:
    """Place the samples of ``num_bins`` bins along an axis of ``size`` cells. R may be 0."""
    max_samples = int(bins.samples.max()) if bins.samples.numel() else 0
    start, step = bins.start[:, None, None], bins.step[:, None, None]
    sample_index = torch.arange(max_samples, device=start.device)
    exists = sample_index < bins.samples[:, None, None]
    per_bin = bins.samples.clamp(min=1).to(start.dtype)[:, None, None]
    bin_index = torch.arange(num_bins, device=start.device)[:, None]
    position = start + bin_index * step + (sample_index + 0.5) * step / per_bin
    inside = (position >= -1) & (position <= size) & exists
    position = torch.where(inside, position.clamp(min=0), torch.zeros_like(position))
    low = position.floor().clamp(max=size - 1)
    high_weight = torch.where(low >= size - 1, torch.zeros_like(low), position - low)
    low_weight = (1 - high_weight) * inside
    low = low.long()
    return AxisSamples(low, (low + 1).clamp(max=size - 1), low_weight, high_weight * inside, exists)
