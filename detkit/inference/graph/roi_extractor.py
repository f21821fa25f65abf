"""RoIAlign over all levels of a feature pyramid in one call.

The levels are packed into one feature map, each with a border of one cell that replicates its edge,
and each RoI is scaled and shifted to its level's region. Sampling points of a RoI within the image
lie at most half a cell outside the level, where RoIAlign uses the value of the edge, which is what
the border holds. So the result equals that of one call per level, without selecting the RoIs of a
level, whose number would depend on the image.

Without ``aligned`` a RoI is at least one cell wide, and its sampling points may lie a whole cell
outside, where RoIAlign uses zero. Then every level is sampled for every RoI.
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

BORDER = 1
AVERAGE = 1  # the pool mode of mmcv's extension


class PackedPyramid:
    """Layout of pyramid levels on one feature map, in rows (shelves), the largest level first.

    Args:
        sizes_hw: height and width of each level, in cells, the finest first.

    Attributes:
        corners: (left, top) of each level's first cell, inside its border.
        shelves: the levels of each row, from the top.
        heights: height of each row, in cells.
        width: width of the packed map, in cells.
    """

    def __init__(self, sizes_hw: Sequence[tuple[int, int]]) -> None:
        bordered = [(height + 2 * BORDER, width + 2 * BORDER) for height, width in sizes_hw]
        self.width = max(width for _, width in bordered)
        self.shelves: list[list[int]] = []
        self.heights: list[int] = []
        self.corners: list[tuple[int, int]] = []
        left = self.width
        for level, (height, width) in enumerate(bordered):
            if left + width > self.width:
                self.shelves.append([])
                self.heights.append(height)
                left = 0
            self.shelves[-1].append(level)
            self.corners.append((left + BORDER, sum(self.heights[:-1]) + BORDER))
            left += width

    def pack(self, levels: Sequence[Tensor]) -> Tensor:
        """One feature map (B, C, H, W) of the levels, (B, C, h, w) each."""
        shelves = []
        for shelf_index, shelf in enumerate(self.shelves):
            row = []
            for level in shelf:
                tile = F.pad(levels[level], (BORDER,) * 4, mode="replicate")
                lower = self.heights[shelf_index] - tile.shape[2]
                row.append(F.pad(tile, (0, 0, 0, lower)) if lower else tile)
            width = sum(item.shape[3] for item in row)
            if width < self.width:
                row[-1] = F.pad(row[-1], (0, self.width - width))
            shelves.append(torch.cat(row, dim=3) if len(row) > 1 else row[0])
        return torch.cat(shelves, dim=2) if len(shelves) > 1 else shelves[0]


class RoIExtractorGraph(nn.Module):
    """mmdet's ``SingleRoIExtractor``, over a `PackedPyramid` where that is exact, else per level.

    Args:
        extractor: the extractor, with average-pooling RoIAlign layers.
        sizes_hw: height and width of each level that it takes, in cells.
        input_hw: height and width of the input in pixels.

    Raises:
        ExportError: the extractor or its layer is not supported.

    Shapes: B images; R RoIs per image; C channels; P x P bins.
    """

    level_offsets: Tensor

    def __init__(
        self, extractor: Any, sizes_hw: Sequence[tuple[int, int]], input_hw: tuple[int, int]
    ) -> None:
        super().__init__()
        _check_extractor(extractor)
        layer = extractor.roi_layers[0]
        self._bins = (int(layer.output_size[0]), int(layer.output_size[1]))
        self._sampling_ratio = int(layer.sampling_ratio)
        self._aligned = bool(layer.aligned)
        self._finest_scale = float(extractor.finest_scale)
        self._scales = [float(roi_layer.spatial_scale) for roi_layer in extractor.roi_layers]
        self._sizes = [(int(height), int(width)) for height, width in sizes_hw]
        self.is_packed = self._aligned and _levels_cover_input(self._sizes, self._scales, input_hw)
        self.packed_pyramid = PackedPyramid(self._sizes) if self.is_packed else None
        corners = [(0, 0)] * len(
            self._sizes) if self.packed_pyramid is None else self.packed_pyramid.corners
        table = [[scale, left, top] for scale, (left, top) in zip(self._scales, corners)]
        self.register_buffer("level_offsets", torch.tensor(table, dtype=torch.float32), False)

    def pack_levels(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The input of `forward` from the feature maps: one packed map, or the levels unchanged."""
        level_maps = list(maps)[: len(self._sizes)]
        return level_maps if self.packed_pyramid is None else [self.packed_pyramid.pack(level_maps)]

    def forward(self, packed: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Extract the features of RoIs.

        Args:
            packed: from `pack_levels` of this extractor, or of another one with the same levels.
            rois: (B, R, 4) float32, xyxy, pixels of the input, within the image.

        Returns:
            (B * R, C, P, P) of the maps' dtype.
        """
        levels = self._levels(rois)
        if self.is_packed:
            offsets = self.level_offsets[levels]
            scale, corner = offsets[..., :1], offsets[..., 1:]
            packed_rois = rois * scale + torch.cat([corner, corner], dim=-1)
            return self._align(packed[0], packed_rois, 1.0)
        roi_levels = levels.reshape(-1, 1, 1, 1)
        features = self._align(packed[0], rois, self._scales[0])
        for level in range(1, len(self._scales)):
            level_features = self._align(packed[level], rois, self._scales[level])
            features = torch.where(roi_levels == level, level_features, features)
        return features

    def _align(self, features: Tensor, boxes: Tensor, scale: float) -> Tensor:
        batch, num_rois = boxes.shape[0], self._num_rois(boxes)
        image = torch.arange(batch, device=boxes.device, dtype=boxes.dtype).view(-1, 1, 1)
        indexed = torch.cat([image.expand(-1, num_rois, -1), boxes], dim=-1).reshape(-1, 5)
        exporting = is_tracing() or torch.compiler.is_compiling()  # type: ignore[no-untyped-call]
        if features.is_cpu and not exporting:
            return self._align_on_cpu(features, indexed, scale)
        aligned: Tensor = roi_align(
            features, indexed.to(features.dtype), self._bins, scale, self._sampling_ratio,
            self._aligned,
        )
        return aligned

    def _align_on_cpu(self, features: Tensor, indexed: Tensor, scale: float) -> Tensor:
        """By detkit's operator; torchvision's is single-threaded on the CPU."""
        aligned = features.new_empty((len(indexed), features.shape[1], *self._bins))
        unused = features.new_empty(0)
        roi_align_forward(
            features, indexed, aligned, unused, unused, *self._bins, scale,
            self._sampling_ratio, AVERAGE, self._aligned,
        )
        return aligned

    @staticmethod
    def _num_rois(rois: Tensor) -> int:
        return rois.shape[1]

    def _levels(self, rois: Tensor) -> Tensor:
        """The level of each RoI: one coarser for each doubling of its size above the finest scale.

        Source: FPN (arXiv 1612.03144), eq. 1. Agrees with mmdet's ``map_roi_levels``, with
        comparisons instead of a logarithm.
        """
        size = rois[..., 2:] - rois[..., :2]
        side = torch.sqrt(size[..., 0] * size[..., 1]) / self._finest_scale + 1e-6
        level = torch.zeros_like(side, dtype=torch.int64)
        for step in range(1, len(self._sizes)):
            level = level + (side >= 2.0**step).to(torch.int64)
        return level


def _levels_cover_input(
    sizes_hw: Sequence[tuple[int, int]], scales: Sequence[float], input_hw: tuple[int, int]
) -> bool:
    """Whether every level covers the input, and none is larger than a finer one."""
    covers = all(
        side >= length * scale
        for size, scale in zip(sizes_hw, scales) for side, length in zip(size, input_hw)
    )
    non_increasing = all(
        finer[0] >= coarser[0] and finer[1] >= coarser[1]
        for finer, coarser in zip(sizes_hw, sizes_hw[1:])
    )
    return covers and non_increasing


def _check_extractor(extractor: Any) -> None:
    name = type(extractor).__name__
    if name != "SingleRoIExtractor":
        raise ExportError("the roi_head's bbox_roi_extractor", got=name,
                          expected="SingleRoIExtractor")
    layer = extractor.roi_layers[0]
    if type(layer).__name__ != "RoIAlign" or getattr(layer, "pool_mode", "avg") != "avg":
        raise ExportError("the bbox_roi_extractor's roi_layer", got=type(layer).__name__,
                          expected="RoIAlign with average pooling")
