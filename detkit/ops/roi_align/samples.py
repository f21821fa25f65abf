"""Bins of each RoI along one axis, and the sampling points in them.

Legend: R RoIs; P bins along the axis; S maximum number of samples of a bin along the axis.
Positions are in feature map pixels, 0 at the center of the first pixel.

The order of floating point operations is that of the kernels, so that samples at the edge of the
map, and lengths that are multiples of the bins, give the same result.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AxisBins:
    """The bins of all RoIs along one axis.

    Args:
        start: (R,) floating point, start of the first bin, feature map pixels.
        step: (R,) floating point, length of a bin, pixels; negative for a box of negative size.
        samples: (R,) int64, samples in a bin; 0 where the RoI is empty or not finite.
    """

    start: Tensor
    step: Tensor
    samples: Tensor


def divide_into_bins(
    low: Tensor, high: Tensor, num_bins: int, scale: float, sampling_ratio: int, aligned: bool
) -> AxisBins:
    """Divide the side of each RoI from ``low`` to ``high`` (R,), pixels, into ``num_bins`` bins.

    ``scale`` is feature map pixels for an image pixel. With ``sampling_ratio`` 0 the number of
    samples is the size of a bin, rounded up. Without ``aligned`` RoIs are shifted by half a pixel
    and at least one pixel long.
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
    """Linear interpolation between two pixels for each sample along one axis.

    Args:
        low: (R, P, S) int64, the pixel before the sample.
        high: (R, P, S) int64, the pixel after it; the same one at the end of the map.
        low_weight: (R, P, S) floating point, 0 for samples outside the map and missing ones.
        high_weight: (R, P, S) floating point, the same.
        exists: (R, 1, S) bool, whether the bins of an RoI have this sample.
    """

    low: Tensor
    high: Tensor
    low_weight: Tensor
    high_weight: Tensor
    exists: Tensor


def sample_bins(bins: AxisBins, num_bins: int, size: int) -> AxisSamples:
    """Compute the samples of ``num_bins`` bins along an axis of ``size`` pixels. R may be 0."""
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
