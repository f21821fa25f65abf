"""Decode a head's deltas into boxes, as the box coder of its config does."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import ExportError


class BoxDecoder(nn.Module):
    """Apply deltas of center and size to boxes, and clip the result to the image.

    Args:
        coder: mmdet's ``DeltaXYWHBBoxCoder``; its means and stds are used.

    Raises:
        ExportError: another coder, or one that does not clip boxes to the image.

    Source: Faster R-CNN (arXiv 1506.01497), eq. 2. Agrees with mmdet's ``delta2bbox``.
    """

    means: Tensor
    stds: Tensor

    def __init__(self, coder: Any) -> None:
        super().__init__()
        if type(coder).__name__ != "DeltaXYWHBBoxCoder":
            raise ExportError("the head's bbox_coder", got=type(coder).__name__,
                              expected="DeltaXYWHBBoxCoder or DistancePointBBoxCoder")
        _check_clip(coder)
        self.register_buffer("means", torch.tensor(coder.means, dtype=torch.float32), False)
        self.register_buffer("stds", torch.tensor(coder.stds, dtype=torch.float32), False)
        self._max_log_scale = abs(math.log(16 / 1000))
        self._max_shift = float(coder.ctr_clamp) if coder.add_ctr_clamp else None

    def forward(self, boxes: Tensor, deltas: Tensor, clip_bounds: Tensor) -> Tensor:
        """Decode deltas.

        Args:
            boxes: (..., 4) float32, xyxy, pixels of the input.
            deltas: (..., 4) float32, as the head predicts them.
            clip_bounds: broadcastable to (..., 4) float32: width, height, width, height of the
                image, in pixels.

        Returns:
            (..., 4) float32, xyxy, within 0 and ``clip_bounds``.
        """
        deltas = deltas * self.stds + self.means
        center = (boxes[..., :2] + boxes[..., 2:]) * 0.5
        size = boxes[..., 2:] - boxes[..., :2]
        shift = size * deltas[..., :2]
        log_scale = deltas[..., 2:]
        if self._max_shift is not None:
            shift = shift.clamp(-self._max_shift, self._max_shift)
            log_scale = log_scale.clamp(max=self._max_log_scale)
        else:
            log_scale = log_scale.clamp(-self._max_log_scale, self._max_log_scale)
        center = center + shift
        half = size * log_scale.exp() * 0.5
        corners = torch.cat([center - half, center + half], dim=-1)
        return torch.minimum(corners.clamp(min=0), clip_bounds)


class PointDecoder(nn.Module):
    """Boxes from the distances of a point to their four sides, clipped to the image.

    Args:
        coder: mmdet's ``DistancePointBBoxCoder``.

    Raises:
        ExportError: it does not clip boxes to the image.

    Source: FCOS (arXiv 1904.01355), section 3.1. Agrees with mmdet's ``distance2bbox``.
    """

    def __init__(self, coder: Any) -> None:
        super().__init__()
        _check_clip(coder)

    def forward(self, points: Tensor, sides: Tensor, clip_bounds: Tensor) -> Tensor:
        """Decode distances.

        Args:
            points: (..., 2) float32, xy, pixels of the input.
            sides: (..., 4) float32, pixels from the point to the left, top, right and bottom.
            clip_bounds: as `BoxDecoder`'s.

        Returns:
            (..., 4) float32, xyxy, within 0 and ``clip_bounds``.
        """
        corners = torch.cat([points - sides[..., :2], points + sides[..., 2:]], dim=-1)
        return torch.minimum(corners.clamp(min=0), clip_bounds)


def build_box_decoder(coder: Any) -> nn.Module:
    """The decoder that matches a head's ``bbox_coder``.

    Raises:
        ExportError: the coder is not supported.
    """
    if type(coder).__name__ == "DistancePointBBoxCoder":
        return PointDecoder(coder)
    return BoxDecoder(coder)


def _check_clip(coder: Any) -> None:
    if not coder.clip_border:
        raise ExportError("the head's bbox_coder.clip_border", got=False, expected=True)


def get_clip_bounds(image_hw: Tensor) -> Tensor:
    """(B, 1, 4) float32 limits of x, y, x, y from (B, 2) int64 heights and widths."""
    width_height = image_hw.flip(1).float()
    return torch.cat([width_height, width_height], dim=1).unsqueeze(1)
