"""RoIAlign over a pyramid in one call, though each RoI belongs to a level of its own.

The levels are laid out on one map, the atlas, each with a frame of one cell that repeats its edge;
a RoI is scaled and moved to where its level lies. A sample of a RoI within the picture lies at most
half a cell beyond its level, where RoIAlign takes the edge's value: the frame holds just that. So
the result is that of a call for each level, without choosing RoIs by level, whose number would
depend on the picture.

Without ``aligned`` a RoI is one cell wide at least, and its samples may lie a whole cell beyond,
where RoIAlign takes nothing: there every level is asked about every RoI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.jit._trace import is_tracing
from torchvision.ops import roi_align

from detkit.errors import ExportError
from detkit.ops.roi_align.roi_align import roi_align_forward

FRAME = 1
AVERAGE = 1  # the pool mode of mmcv's extension


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
    """mmdet's ``SingleRoIExtractor`` over an `Atlas`, or over each level where that is not exact.

    Args:
        extractor: the extractor, with RoIAlign layers that average.
        sizes_hw: height and width of each level that it reads, in cells.
        canvas_hw: height and width of the canvas in pixels.

    Raises:
        ExportError: another extractor or layer.

    B images; R RoIs of each; C channels; P x P bins.
    """

    places: Tensor

    def __init__(
        self, extractor: Any, sizes_hw: Sequence[tuple[int, int]], canvas_hw: tuple[int, int]
    ) -> None:
        super().__init__()
        _check(extractor)
        layer = extractor.roi_layers[0]
        self._bins = (int(layer.output_size[0]), int(layer.output_size[1]))
        self._sampling_ratio = int(layer.sampling_ratio)
        self._aligned = bool(layer.aligned)
        self._finest = float(extractor.finest_scale)
        self._scales = [float(one.spatial_scale) for one in extractor.roi_layers]
        self._sizes = [(int(high), int(wide)) for high, wide in sizes_hw]
        self.in_one = self._aligned and _covered(self._sizes, self._scales, canvas_hw)
        self.atlas = Atlas(self._sizes) if self.in_one else None
        corners = [(0, 0)] * len(self._sizes) if self.atlas is None else self.atlas.corners
        table = [[scale, left, top] for scale, (left, top) in zip(self._scales, corners)]
        self.register_buffer("places", torch.tensor(table, dtype=torch.float32), False)

    def lay(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """What `forward` reads of all levels' maps: the atlas, or the levels as they are."""
        read = list(maps)[: len(self._sizes)]
        return read if self.atlas is None else [self.atlas.draw(read)]

    def forward(self, laid: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Features of RoIs.

        Args:
            laid: from `lay`, of these or another extractor's features of the same levels.
            rois: (B, R, 4) float32, xyxy, pixels of the canvas, within the picture.

        Returns:
            (B * R, C, P, P) of the maps' dtype.
        """
        levels = self._levels(rois)
        if self.in_one:
            place = self.places[levels]
            scale, corner = place[..., :1], place[..., 1:]
            moved = rois * scale + torch.cat([corner, corner], dim=-1)
            return self._align(laid[0], moved, 1.0)
        chosen = levels.reshape(-1, 1, 1, 1)
        features = self._align(laid[0], rois, self._scales[0])
        for level in range(1, len(self._scales)):
            there = self._align(laid[level], rois, self._scales[level])
            features = torch.where(chosen == level, there, features)
        return features

    def _align(self, features: Tensor, boxes: Tensor, scale: float) -> Tensor:
        batch, number = boxes.shape[0], self._number(boxes)
        image = torch.arange(batch, device=boxes.device, dtype=boxes.dtype).view(-1, 1, 1)
        indexed = torch.cat([image.expand(-1, number, -1), boxes], dim=-1).reshape(-1, 5)
        followed = is_tracing() or torch.compiler.is_compiling()  # type: ignore[no-untyped-call]
        if features.is_cpu and not followed:
            return self._align_here(features, indexed, scale)
        aligned: Tensor = roi_align(
            features, indexed.to(features.dtype), self._bins, scale, self._sampling_ratio,
            self._aligned,
        )
        return aligned

    def _align_here(self, features: Tensor, indexed: Tensor, scale: float) -> Tensor:
        """By our own operator: torchvision's, which exporters know, has one thread on a CPU."""
        aligned = features.new_empty((len(indexed), features.shape[1], *self._bins))
        unused = features.new_empty(0)
        roi_align_forward(
            features, indexed, aligned, unused, unused, *self._bins, scale,
            self._sampling_ratio, AVERAGE, self._aligned,
        )
        return aligned

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
        for step in range(1, len(self._sizes)):
            level = level + (side >= 2.0**step).to(torch.int64)
        return level


def _covered(
    sizes_hw: Sequence[tuple[int, int]], scales: Sequence[float], canvas_hw: tuple[int, int]
) -> bool:
    """Whether every level reaches the end of the canvas, and none is larger than a finer one."""
    reach = all(
        side >= length * scale
        for size, scale in zip(sizes_hw, scales) for side, length in zip(size, canvas_hw)
    )
    falling = all(
        finer[0] >= coarser[0] and finer[1] >= coarser[1]
        for finer, coarser in zip(sizes_hw, sizes_hw[1:])
    )
    return reach and falling


def _check(extractor: Any) -> None:
    name = type(extractor).__name__
    if name != "SingleRoIExtractor":
        raise ExportError("the roi_head's bbox_roi_extractor", got=name,
                          expected="SingleRoIExtractor")
    layer = extractor.roi_layers[0]
    if type(layer).__name__ != "RoIAlign" or getattr(layer, "pool_mode", "avg") != "avg":
        raise ExportError("the bbox_roi_extractor's roi_layer", got=type(layer).__name__,
                          expected="RoIAlign that averages")
