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
class Bins:
    """The bins of all RoIs along one axis.

    Args:
        start: (R,) floating, where the first bin begins, cells.
        step: (R,) floating, length of a bin, cells; negative for a box turned over.
        samples: (R,) int64, samples in a bin; 0 where the RoI is empty or not finite.
    """

    start: Tensor
    step: Tensor
    samples: Tensor


def bins_along(
    low: Tensor, high: Tensor, number: int, scale: float, sampling_ratio: int, aligned: bool
) -> Bins:
    """Divide the side of each RoI from ``low`` to ``high`` (R,), pixels, into ``number`` bins.

    ``scale`` is cells for one pixel. With ``sampling_ratio`` 0 a bin has a sample for each cell
    it has begun. Without ``aligned`` RoIs are half a cell off and at least one cell long.
    """
    offset = 0.5 if aligned else 0.0
    start = low * scale - offset
    length = high * scale - offset - start
    if not aligned:
        length = length.clamp(min=1)
    step = length / number
    usable = torch.isfinite(step) & torch.isfinite(start)
    if sampling_ratio > 0:
        samples = usable.long() * sampling_ratio
    else:
        samples = torch.where(usable, step.ceil().clamp(min=0), torch.zeros_like(step)).long()
    return Bins(start, step, samples)


@dataclass(frozen=True)
class Samples:
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


def samples_along(bins: Bins, number: int, size: int) -> Samples:
    """Place the samples of ``number`` bins along an axis of ``size`` cells. R may be 0."""
    most = int(bins.samples.max()) if bins.samples.numel() else 0
    start, step = bins.start[:, None, None], bins.step[:, None, None]
    each = torch.arange(most, device=start.device)
    exists = each < bins.samples[:, None, None]
    per_bin = bins.samples.clamp(min=1).to(start.dtype)[:, None, None]
    number_of_bin = torch.arange(number, device=start.device)[:, None]
    position = start + number_of_bin * step + (each + 0.5) * step / per_bin
    seen = (position >= -1) & (position <= size) & exists
    position = torch.where(seen, position.clamp(min=0), torch.zeros_like(position))
    low = position.floor().clamp(max=size - 1)
    high_weight = torch.where(low >= size - 1, torch.zeros_like(low), position - low)
    low_weight = (1 - high_weight) * seen
    low = low.long()
    return Samples(low, (low + 1).clamp(max=size - 1), low_weight, high_weight * seen, exists)
