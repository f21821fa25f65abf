"""RoIAlign over a pyramid in one call, though each RoI belongs to a level of its own.

The levels are laid out on one map, the atlas, each with a frame of one cell that repeats its edge;
a RoI is scaled and moved to where its level lies. A sample of a RoI within the picture lies at most
half a cell beyond its level, where RoIAlign takes the edge's value: the frame holds just that. So
the result is that of a call for each level, without choosing RoIs by level, whose number would
depend on the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from detkit.errors import ExportError

FRAME = 1


class Atlas:
    """Where each level lies on one map: on shelves, the largest first.

    Args:
        sizes_hw: height and width of each level, in cells, the finest first.

    Attributes:
        corners: (left, top) of each level's first cell, behind its frame.
        shelves: the levels on each shelf, from the top.
        width: of the whole, in cells.
    """

    def __init__(self, sizes_hw: Sequence[tuple[int, int]]) -> None:
        framed = [(high + 2 * FRAME, wide + 2 * FRAME) for high, wide in sizes_hw]
        self.width = max(wide for _, wide in framed)
        self.shelves: list[list[int]] = []
        self.heights: list[int] = []
        self.corners: list[tuple[int, int]] = []
        left = self.width
        for level, (high, wide) in enumerate(framed):
            if left + wide > self.width:
                self.shelves.append([])
                self.heights.append(high)
                left = 0
            self.shelves[-1].append(level)
            self.corners.append((left + FRAME, sum(self.heights[:-1]) + FRAME))
            left += wide

    def draw(self, levels: Sequence[Tensor]) -> Tensor:
        """The levels, (B, C, h, w) each, on one map (B, C, H, W)."""
        shelves = []
        for place, shelf in enumerate(self.shelves):
            row = []
            for level in shelf:
                framed = F.pad(levels[level], (FRAME,) * 4, mode="replicate")
                lower = self.heights[place] - framed.shape[2]
                row.append(F.pad(framed, (0, 0, 0, lower)) if lower else framed)
            wide = sum(part.shape[3] for part in row)
            if wide < self.width:
                row[-1] = F.pad(row[-1], (0, self.width - wide))
            shelves.append(torch.cat(row, dim=3) if len(row) > 1 else row[0])
        return torch.cat(shelves, dim=2) if len(shelves) > 1 else shelves[0]


class RoIFeatures(nn.Module):
    """mmdet's ``SingleRoIExtractor`` over an `Atlas`.

    Args:
        extractor: the extractor, with RoIAlign layers that average.
        sizes_hw: height and width of each level that it reads, in cells.

    Raises:
        ExportError: another extractor or layer, or a finer level that is smaller.

    B images; R RoIs of each; C channels; P x P bins.
    """

    places: Tensor

    def __init__(self, extractor: Any, sizes_hw: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        _check(extractor, sizes_hw)
        layer = extractor.roi_layers[0]
        self.atlas = Atlas(sizes_hw)
        self._bins = (int(layer.output_size[0]), int(layer.output_size[1]))
        self._sampling_ratio = int(layer.sampling_ratio)
        self._aligned = bool(layer.aligned)
        self._finest = float(extractor.finest_scale)
        scales = [float(one.spatial_scale) for one in extractor.roi_layers]
        table = [[scale, left, top] for scale, (left, top) in zip(scales, self.atlas.corners)]
        self.register_buffer("places", torch.tensor(table, dtype=torch.float32), False)

    def forward(self, atlas: Tensor, rois: Tensor) -> Tensor:
        """Features of RoIs.

        Args:
            atlas: (B, C, H, W), from ``Atlas.draw``.
            rois: (B, R, 4) float32, xyxy, pixels of the canvas, within the picture.

        Returns:
            (B * R, C, P, P) of the atlas's dtype.
        """
        place = self.places[self._levels(rois)]
        scale, corner = place[..., :1], place[..., 1:]
        moved = rois * scale + torch.cat([corner, corner], dim=-1)
        batch, number = rois.shape[0], self._number(rois)
        image = torch.arange(batch, device=rois.device, dtype=rois.dtype).view(-1, 1, 1)
        indexed = torch.cat([image.expand(-1, number, -1), moved], dim=-1).reshape(-1, 5)
        features: Tensor = roi_align(
            atlas, indexed.to(atlas.dtype), self._bins, 1.0, self._sampling_ratio, self._aligned
        )
        return features

    @staticmethod
    def _number(rois: Tensor) -> int:
        return rois.shape[1]

    def _levels(self, rois: Tensor) -> Tensor:
        """The level of each RoI: one up for each doubling of its side beyond the finest scale.

        Source: FPN (arXiv 1612.03144), eq. 1. Agrees with mmdet's ``map_roi_levels``, its
        logarithm taken apart into comparisons.
        """
        size = rois[..., 2:] - rois[..., :2]
        side = torch.sqrt(size[..., 0] * size[..., 1]) / self._finest + 1e-6
        level = torch.zeros_like(side, dtype=torch.int64)
        for step in range(1, len(self.places)):
            level = level + (side >= 2.0**step).to(torch.int64)
        return level


def _check(extractor: Any, sizes_hw: Sequence[tuple[int, int]]) -> None:
    name = type(extractor).__name__
    if name != "SingleRoIExtractor":
        raise ExportError("the roi_head's bbox_roi_extractor", got=name,
                          expected="SingleRoIExtractor")
    layer = extractor.roi_layers[0]
    if type(layer).__name__ != "RoIAlign" or getattr(layer, "pool_mode", "avg") != "avg":
        raise ExportError("the bbox_roi_extractor's roi_layer", got=type(layer).__name__,
                          expected="RoIAlign that averages")
    for finer, coarser in zip(sizes_hw, sizes_hw[1:]):
        if finer[0] < coarser[0] or finer[1] < coarser[1]:
            raise ExportError("the levels of the pyramid", got=list(sizes_hw),
                              expected="the finest first")
