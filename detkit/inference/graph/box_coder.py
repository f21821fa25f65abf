"""Deltas into boxes, for the coder that a head was trained with."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import ExportError


class BoxDecoder(nn.Module):
    """Moves and scales boxes by a head's deltas, clipped to the picture.

    Args:
        coder: mmdet's ``DeltaXYWHBBoxCoder``; its means and stds are taken over.

    Raises:
        ExportError: another coder, or one that does not clip boxes to the picture.

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
        """Boxes after their deltas.

        Args:
            boxes: (..., 4) float32, xyxy, pixels of the canvas.
            deltas: (..., 4) float32, as the head gives them.
            clip_bounds: broadcastable to (..., 4) float32: width, height, width, height of the
                picture, in pixels.

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
    """Boxes by how far their four sides lie from a point, clipped to the picture.

    Args:
        coder: mmdet's ``DistancePointBBoxCoder``.

    Raises:
        ExportError: it does not clip boxes to the picture.

    Source: FCOS (arXiv 1904.01355), section 3.1. Agrees with mmdet's ``distance2bbox``.
    """

    def __init__(self, coder: Any) -> None:
        super().__init__()
        _check_clip(coder)

    def forward(self, points: Tensor, sides: Tensor, clip_bounds: Tensor) -> Tensor:
        """Boxes about points.

        Args:
            points: (..., 2) float32, xy, pixels of the canvas.
            sides: (..., 4) float32, pixels from the point to the left, top, right and bottom.
            clip_bounds: as `BoxDecoder`'s.

        Returns:
            (..., 4) float32, xyxy, within 0 and ``clip_bounds``.
        """
        corners = torch.cat([points - sides[..., :2], points + sides[..., 2:]], dim=-1)
        return torch.minimum(corners.clamp(min=0), clip_bounds)


def build_box_decoder(coder: Any) -> nn.Module:
    """What decodes as a head's ``bbox_coder`` does.

    Raises:
        ExportError: a coder that has no static form.
    """
    if type(coder).__name__ == "DistancePointBBoxCoder":
        return PointDecoder(coder)
    return BoxDecoder(coder)


def _check_clip(coder: Any) -> None:
    if not coder.clip_border:
        raise ExportError("the head's bbox_coder.clip_border", got=False, expected=True)


def clip_bounds_of(image_hw: Tensor) -> Tensor:
    """(B, 2) int64 heights and widths as (B, 1, 4) float32 limits of x, y, x, y."""
    width_height = image_hw.flip(1).float()
    return torch.cat([width_height, width_height], dim=1).unsqueeze(1)
