"""Non-maximum suppression of a batch in one call, with outputs of fixed size.

Shapes: B images; N candidates per image; at most K results per image. A group is a class or a
pyramid level; boxes suppress each other only within their group.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import nms

from detkit.errors import ExportError
from detkit.ops.tail_nms import MIN_SCORE, NMS_PRE, NMS_TYPE, TAIL, suppressed_scores

# Score of padding. Scores of candidates are probabilities, so they are above it.
INVALID_SCORE = -1.0
MARGIN = 16.0  # pixels between the regions of two groups


class BatchedNMS(nn.Module):
    """Non-maximum suppression within the groups of every image, by one call of torchvision's nms.

    The boxes of every image and group are shifted to a region of their own, so that boxes of
    different groups do not overlap. The regions of an image are arranged in a square, which keeps
    coordinates small and rounding errors low. Padding is moved to one spot outside all regions.

    Args:
        iou_threshold: boxes with an IoU above it, not equal to it, are dropped.
        max_per_img: K, maximum number of results per image.
        input_hw: height and width of the input in pixels; boxes lie within it.
        num_groups: number of groups.

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
        indices = [[group % side * stride, group // side * stride] for group in range(num_groups)]
        self.register_buffer("group_offsets", torch.tensor(indices), False)
        self._invalid_x = side * stride
        self._image_stride_y = -(-num_groups // side) * stride

    def forward(self, boxes: Tensor, scores: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        """Select the candidates that are not suppressed, highest score first.

        Args:
            boxes: (B, N, 4) float32, xyxy, within the input; N at least K.
            scores: (B, N) float32; `INVALID_SCORE` for padding.
            group: (B, N) int64, or (N,).

        Returns:
            scores (B, K) float32, highest first, `INVALID_SCORE` for padding, and their indices
            (B, K) int64 among the N candidates.
        """
        best = self._suppress(boxes, scores, group)
        return torch.topk(best, self.max_per_img, dim=1)

    def _suppress(self, boxes: Tensor, scores: Tensor, group: Tensor) -> Tensor:
        """Scores (B, N), `INVALID_SCORE` for suppressed candidates and padding."""
        batch = scores.shape[0]
        image = torch.arange(batch, device=boxes.device, dtype=boxes.dtype).view(-1, 1)
        valid = scores > INVALID_SCORE
        group_offset = self.group_offsets[group]
        offset_x = torch.where(valid, group_offset[..., 0], self._invalid_x)
        offset_y = torch.where(valid, group_offset[..., 1] + image * self._image_stride_y, 0.0)
        offset = torch.stack([offset_x, offset_y, offset_x, offset_y], dim=-1)
        shifted = torch.where(valid.unsqueeze(-1), boxes, torch.full_like(boxes, 1.0))
        # Padding gets an area: boxes without one have no IoU and would not suppress each other.
        extent = torch.where(valid, torch.zeros_like(scores), torch.ones_like(scores))
        zero = torch.zeros_like(extent)
        shifted = shifted + offset + torch.stack([zero, zero, extent, extent], dim=-1)
        kept = nms(shifted.reshape(-1, 4), scores.reshape(-1), self._threshold)
        mask = torch.zeros_like(scores).reshape(-1)
        mask = mask.scatter(0, kept, torch.ones_like(kept, dtype=mask.dtype)).reshape(scores.shape)
        return torch.where(mask > 0, scores, torch.full_like(scores, INVALID_SCORE))


class BatchedTailNMS(BatchedNMS):
    """``detkit.ops.tail_nms`` within the groups of every image.

    Args:
        iou_threshold, max_per_img, input_hw, num_groups: as of `BatchedNMS`.
        nms_pre: number of candidates per image that are considered; at least ``max_per_img``.
        tail, min_score: as of ``tail_nms``.

    Source: agrees with mmcv's ``batched_nms`` of type 'tail_nms'.
    """

    def __init__(self, iou_threshold: float, max_per_img: int, input_hw: tuple[int, int],
                 num_groups: int, nms_pre: int = NMS_PRE, tail: float = TAIL,
                 min_score: float = MIN_SCORE) -> None:
        super().__init__(iou_threshold, min(max_per_img, nms_pre), input_hw, num_groups)
        self._nms_pre, self._tail, self._min_score = nms_pre, tail, min_score

    def forward(self, boxes: Tensor, scores: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        """Rank the candidates: as `BatchedNMS`, then those that are suppressed."""
        scores, indices = torch.topk(scores, min(self._nms_pre, scores.shape[1]), dim=1)
        boxes = gather_rows(boxes, indices)
        group = torch.gather(group.expand(indices.shape[0], -1), 1, indices)
        best = self._suppress(boxes, scores, group)
        low = suppressed_scores(boxes, scores, self._tail, self._min_score, group)
        low = torch.where(low > 0, low, torch.full_like(low, INVALID_SCORE))
        best, keep_indices = torch.topk(torch.where(best > INVALID_SCORE, best, low),
                                        self.max_per_img, dim=1)
        return best, torch.gather(indices, 1, keep_indices)


def build_class_nms(nms_cfg: Any, key: str, max_per_img: int, input_hw: tuple[int, int],
                    num_classes: int) -> BatchedNMS:
    """The class-wise NMS of an ``nms`` config, of type 'nms' or 'tail_nms'.

    Raises:
        ExportError: it is of another type.
    """
    threshold = get_iou_threshold(nms_cfg, key, ("nms", NMS_TYPE))
    if nms_cfg.get("type") != NMS_TYPE:
        return BatchedNMS(threshold, max_per_img, input_hw, num_classes)
    settings = {name: value for name, value in nms_cfg.items()
                if name in ("nms_pre", "tail", "min_score")}
    return BatchedTailNMS(threshold, max_per_img, input_hw, num_classes, **settings)


def get_iou_threshold(nms_cfg: Any, key: str, types: tuple[str, ...] = ("nms",)) -> float:
    """The IoU threshold of an ``nms`` config.

    Args:
        nms_cfg: the config.
        key: the key of the config that holds it, for messages.
        types: the values of ``type`` that are supported.

    Raises:
        ExportError: it is not class-wise NMS of one of the types.
    """
    nms_type = (nms_cfg or {}).get("type", "nms")
    if nms_type not in types or "iou_threshold" not in (nms_cfg or {}):
        raise ExportError(f"{key}.nms", got=dict(nms_cfg or {}),
                          expected="dict(type='nms', iou_threshold=...)")
    if nms_cfg.get("class_agnostic", False):
        raise ExportError(f"{key}.nms.class_agnostic", got=True, expected=False)
    return float(nms_cfg["iou_threshold"])


def gather_rows(values: Tensor, indices: Tensor) -> Tensor:
    """Gather rows of (B, N, V) by indices (B, K): (B, K, V)."""
    index = indices.unsqueeze(-1).expand(-1, -1, values.shape[-1])
    return torch.gather(values, 1, index)
