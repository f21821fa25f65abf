"""Suppression of overlapping boxes for a whole batch in one call, with results of fixed size.

Legend: B images; N candidates of each; K results at most of each; a group is a class, or a level
of the pyramid: boxes suppress each other within it only.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import nms

from detkit.errors import ExportError

# What is no candidate. Scores are probabilities, so that nothing real lies below.
INVALID_SCORE = -1.0
MARGIN = 16.0  # pixels between the places of two groups


class BatchedNMS(nn.Module):
    """Keeps the best of boxes that overlap by more than a threshold, within their groups.

    Every image and group gets a place of its own on a plane, the canvas beside the canvas, so
    that one suppression does them all. An image's groups fill a square, so that numbers stay small
    and lose little of their last digits. Candidates that are none lie upon each other in one corner
    and cost nothing.

    Args:
        iou_threshold: boxes with an IoU above it, not equal to it, are dropped.
        max_per_img: at most so many results for an image; K.
        input_hw: height and width in pixels that no box exceeds.
        num_groups: the number of groups.

    Source: agrees with mmcv's ``batched_nms`` of type 'nms'.
    """

    group_offsets: Tensor

    def __init__(
        self, iou_threshold: float, max_per_img: int, input_hw: tuple[int, int], num_groups: int
    ) -> None:
        super().__init__()
        # mmcv's kernel compares in float32: an IoU of exactly 0.6 is not above 0.6.
        self._threshold = float(torch.tensor(iou_threshold, dtype=torch.float32))
        self.max_per_img = max_per_img
        stride = float(max(input_hw)) + MARGIN
        side = math.isqrt(num_groups - 1) + 1
        positions = [[group % side * stride, group // side * stride] for group in range(num_groups)]
        self.register_buffer("group_offsets", torch.tensor(positions), False)
        self._invalid_x = side * stride
        self._image_stride_y = -(-num_groups // side) * stride

    def forward(self, boxes: Tensor, scores: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        """The best candidates.

        Args:
            boxes: (B, N, 4) float32, xyxy, within the canvas; N at least K.
            scores: (B, N) float32; `INVALID_SCORE` for what is no candidate.
            group: (B, N) int64, or (N,).

        Returns:
            scores (B, K) float32, highest first, `INVALID_SCORE` where there are fewer than K, and
            their places (B, K) int64 among the N.
        """
        batch = scores.shape[0]
        image = torch.arange(batch, device=boxes.device, dtype=boxes.dtype).view(-1, 1)
        valid = scores > INVALID_SCORE
        group_offset = self.group_offsets[group]
        offset_x = torch.where(valid, group_offset[..., 0], self._invalid_x)
        offset_y = torch.where(valid, group_offset[..., 1] + image * self._image_stride_y, 0.0)
        offset = torch.stack([offset_x, offset_y, offset_x, offset_y], dim=-1)
        shifted = torch.where(valid.unsqueeze(-1), boxes, torch.full_like(boxes, 1.0))
        # A box of no area has no IoU, and would not be suppressed by its like.
        one = torch.where(valid, torch.zeros_like(scores), torch.ones_like(scores))
        zero = torch.zeros_like(one)
        shifted = shifted + offset + torch.stack([zero, zero, one, one], dim=-1)
        kept = nms(shifted.reshape(-1, 4), scores.reshape(-1), self._threshold)
        mask = torch.zeros_like(scores).reshape(-1)
        mask = mask.scatter(0, kept, torch.ones_like(kept, dtype=mask.dtype)).reshape(scores.shape)
        best = torch.where(mask > 0, scores, torch.full_like(scores, INVALID_SCORE))
        return torch.topk(best, self.max_per_img, dim=1)


def iou_threshold(nms_cfg: Any, where: str) -> float:
    """The IoU threshold of an ``nms`` setting.

    Raises:
        ExportError: it is not plain suppression.
    """
    kind = (nms_cfg or {}).get("type", "nms")
    if kind != "nms" or "iou_threshold" not in (nms_cfg or {}):
        raise ExportError(f"{where}.nms", got=dict(nms_cfg or {}),
                          expected="dict(type='nms', iou_threshold=...)")
    if nms_cfg.get("class_agnostic", False):
        raise ExportError(f"{where}.nms.class_agnostic", got=True, expected=False)
    return float(nms_cfg["iou_threshold"])


def gather_rows(values: Tensor, positions: Tensor) -> Tensor:
    """Rows of (B, N, V) at (B, K) places: (B, K, V)."""
    index = positions.unsqueeze(-1).expand(-1, -1, values.shape[-1])
    return torch.gather(values, 1, index)
