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
        self._longest = abs(math.log(16 / 1000))
        self._most_pixels = float(coder.ctr_clamp) if coder.add_ctr_clamp else None

    def forward(self, boxes: Tensor, deltas: Tensor, limits: Tensor) -> Tensor:
        """Boxes after their deltas.

        Args:
            boxes: (..., 4) float32, xyxy, pixels of the canvas.
            deltas: (..., 4) float32, as the head gives them.
            limits: broadcastable to (..., 4) float32: width, height, width, height of the
                picture, in pixels.

        Returns:
            (..., 4) float32, xyxy, within 0 and ``limits``.
        """
        deltas = deltas * self.stds + self.means
        centre = (boxes[..., :2] + boxes[..., 2:]) * 0.5
        size = boxes[..., 2:] - boxes[..., :2]
        step = size * deltas[..., :2]
        growth = deltas[..., 2:]
        if self._most_pixels is not None:
            step = step.clamp(-self._most_pixels, self._most_pixels)
            growth = growth.clamp(max=self._longest)
        else:
            growth = growth.clamp(-self._longest, self._longest)
        centre = centre + step
        half = size * growth.exp() * 0.5
        corners = torch.cat([centre - half, centre + half], dim=-1)
        return torch.minimum(corners.clamp(min=0), limits)


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

    def forward(self, points: Tensor, sides: Tensor, limits: Tensor) -> Tensor:
        """Boxes about points.

        Args:
            points: (..., 2) float32, xy, pixels of the canvas.
            sides: (..., 4) float32, pixels from the point to the left, top, right and bottom.
            limits: as `BoxDecoder`'s.

        Returns:
            (..., 4) float32, xyxy, within 0 and ``limits``.
        """
        corners = torch.cat([points - sides[..., :2], points + sides[..., 2:]], dim=-1)
        return torch.minimum(corners.clamp(min=0), limits)


def decoder_of(coder: Any) -> nn.Module:
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


def limits_of(valid_hw: Tensor) -> Tensor:
    """(B, 2) int64 heights and widths as (B, 1, 4) float32 limits of x, y, x, y."""
    width_height = valid_hw.flip(1).float()
    return torch.cat([width_height, width_height], dim=1).unsqueeze(1)
