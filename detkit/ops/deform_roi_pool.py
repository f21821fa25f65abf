"""Deformable RoI pooling (``mmcv.ops.DeformRoIPool``) with the signatures of mmcv's extension.

R: RoIs; C: channels; H, W: of the features; A, B: bins of an RoI along y and x. Each bin is moved
by its offset and averages points sampled from the features.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from detkit.ops.precision import no_grad_no_autocast, working_dtype

# Limit of sampled values in a batch: 64 MiB at 4 bytes each, and as much for the backward pass.
MAX_SAMPLES_PER_BATCH = 2**24


def deform_roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Write the pooled bins of each RoI.

    Args:
        input: (N, C, H, W) floating.
        rois: (R, 5), image index, then xyxy in pixels of the image. R may be 0.
        offset: (R, 2, A, B), (x, y), relative to the RoI's width and height over ``gamma``; or
            empty for none.
        output: (R, C, A, B), overwritten.
        spatial_scale: feature map pixels for an image pixel.
        sampling_ratio: points of a bin along each axis; 0 for its size in pixels, rounded up.

    Source: arXiv 1703.06211, eq. 5 and 6, with the sampling points of RoIAlign.
    """
    with no_grad_no_autocast(input.device):
        dtype = working_dtype(input, rois, offset)
        features, offsets = input.detach().to(dtype), offset.detach().to(dtype)
        boxes = _RoIBins(rois.detach().to(dtype), spatial_scale, (pooled_height, pooled_width))
        output.detach().zero_()
        for image, points, indices in boxes.batches(sampling_ratio, input.shape[1]):
            roi_offset = offsets[indices] if offsets.numel() else None
            positions = boxes.positions(indices, points, roi_offset, gamma)
            output[indices] = _average(features[image], positions).to(output.dtype)


def deform_roi_pool_backward(
    grad_output: Tensor,
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Add the gradients of the features and write those of the offsets.

    Args:
        grad_output: (R, C, A, B) floating point. The others as in the forward pass.
        grad_input: shaped as ``input``; added to.
        grad_offset: shaped as ``offset``; overwritten.
    """
    with no_grad_no_autocast(input.device):
        dtype = working_dtype(input, rois, offset)
        features, offsets = input.detach().to(dtype), offset.detach().to(dtype)
        boxes = _RoIBins(rois.detach().to(dtype), spatial_scale, (pooled_height, pooled_width))
        grad_offset.zero_()
        for image, points, indices in boxes.batches(sampling_ratio, input.shape[1]):
            source = features[image].detach().requires_grad_()
            roi_offset = offsets[indices].detach().requires_grad_() if offsets.numel() else None
            with torch.enable_grad():
                pooled = _average(source, boxes.positions(indices, points, roi_offset, gamma))
            sources = [source] if roi_offset is None else [source, roi_offset]
            gradients = torch.autograd.grad(pooled, sources, grad_output[indices].to(dtype))
            grad_input[image] += gradients[0].to(grad_input.dtype)
            if roi_offset is not None:
                grad_offset[indices] = gradients[1].to(grad_offset.dtype)


class _RoIBins:
    """RoIs in feature map pixels, and the sampling points of their bins."""

    def __init__(self, rois: Tensor, spatial_scale: float, bins: tuple[int, int]) -> None:
        self.image = rois[:, 0].long()
        # Pixel centers have integer coordinates, so boxes are shifted by half a pixel.
        self.start_xy = rois[:, 1:3] * spatial_scale - 0.5
        self.size_xy = (rois[:, 3:5] - rois[:, 1:3]) * spatial_scale
        self.bins = bins

    def batches(
        self, sampling_ratio: int, channels: int
    ) -> Iterator[tuple[int, tuple[int, int], Tensor]]:
        """Yield batches of RoIs with the same image and number of points.

        Returns:
            for each batch the image, the points of a bin along (y, x), both > 0, and the
            indices of the RoIs. RoIs without points (size <= 0) are in no batch.
        """
        bins_y, bins_x = self.bins
        if sampling_ratio > 0:
            points = torch.full_like(self.image, sampling_ratio).expand(2, -1)
        else:
            bin_sizes = self.size_xy.flip(1) / self.size_xy.new_tensor(self.bins)
            points = bin_sizes.ceil().clamp(min=0).long().T
        group_keys = torch.stack((self.image, points[0], points[1]), 1)
        for image, rows, columns in sorted(set(map(tuple, group_keys.tolist()))):
            if rows * columns == 0:
                continue
            same_group = (group_keys == group_keys.new_tensor(
                (image, rows, columns))).all(1).nonzero()[:, 0]
            samples = channels * bins_y * bins_x * rows * columns
            step = max(1, MAX_SAMPLES_PER_BATCH // samples)
            for first in range(0, len(same_group), step):
                yield image, (rows, columns), same_group[first : first + step]

    def positions(
        self, indices: Tensor, points: tuple[int, int], offset: Tensor | None, gamma: float
    ) -> Tensor:
        """Return the sampling points (r, A, B, points along y, points along x, 2), (y, x)."""
        start, size = self.start_xy[indices], self.size_xy[indices]
        axes = []
        for axis, bins, count in ((1, self.bins[0], points[0]), (0, self.bins[1], points[1])):
            steps = torch.arange(bins * count, device=size.device, dtype=size.dtype)
            fraction = (steps.view(bins, count) + 0.5) / (bins * count)
            position = start[:, axis, None, None] + size[:, axis, None, None] * fraction
            position = position[:, :, None] if axis == 1 else position[:, None]
            if offset is not None:
                position = (
                    position + (gamma * size[:, axis, None, None] * offset[:, axis])[..., None]
                )
            axes.append(position.expand(-1, *self.bins, -1))
        y = axes[0][..., :, None].expand(-1, -1, -1, -1, points[1])
        x = axes[1][..., None, :].expand(-1, -1, -1, points[0], -1)
        return torch.stack((y, x), -1)


def _average(features: Tensor, positions: Tensor) -> Tensor:
    """Average (C, H, W) features at (r, A, B, y points, x points, 2): (r, C, A, B)."""
    limits = positions.new_tensor(features.shape[1:])
    # As in RoIAlign: up to one pixel outside the nearest pixel is read, further outside 0.
    inside = ((positions >= -1) & (positions <= limits)).all(-1).flatten(3)
    grid = ((2 * positions + 1) / limits - 1).flip(-1).flatten(3, 4).flatten(0, 2)
    sampled = grid_sample(
        features[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False
    )[0]
    regions, bins_y, bins_x = positions.shape[:3]
    pooled = (sampled.view(-1, regions, bins_y, bins_x, inside.shape[-1]) * inside).mean(-1)
    return pooled.transpose(0, 1)
