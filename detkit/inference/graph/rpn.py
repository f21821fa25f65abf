"""The region proposal network as a part of a static graph.

Shapes: B images; at most R proposals per image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import ExportError
from detkit.inference.graph.anchors import register_anchors
from detkit.inference.graph.batched_nms import (
    INVALID_SCORE,
    BatchedNMS,
    gather_rows,
    get_iou_threshold,
)
from detkit.inference.graph.box_coder import BoxDecoder


class RPNGraph(nn.Module):
    """mmdet's ``RPNHead.predict`` with constant anchors and outputs of fixed size.

    Args:
        head: the RPN head; its convolutions are shared.
        cfg: the model's ``test_cfg.rpn``.
        sizes_hw: height and width of each level in cells.
        input_hw: height and width of the input in pixels.

    Raises:
        ExportError: the head, its box coder or its NMS is not supported.
    """

    def __init__(
        self,
        head: Any,
        cfg: Any,
        sizes_hw: Sequence[tuple[int, int]],
        input_hw: tuple[int, int],
    ) -> None:
        super().__init__()
        if type(head).__name__ != "RPNHead" or not head.use_sigmoid_cls:
            raise ExportError("the model's rpn_head", got=type(head).__name__,
                              expected="RPNHead with sigmoid scores")
        self.head = head
        self.decode = BoxDecoder(head.bbox_coder)
        self._sizes = [tuple(size) for size in sizes_hw]
        self._anchors = register_anchors(self, head.prior_generator, sizes_hw)
        nms_pre = int(cfg.get("nms_pre", -1))
        counts = [anchors.shape[0] for anchors in self._level_anchors()]
        self._topk_per_level = [min(count, nms_pre) if nms_pre > 0 else count for count in counts]
        self._min_size = float(cfg.get("min_bbox_size", -1))
        max_per_img = int(cfg.get("max_per_img", -1))
        max_per_img = min(max_per_img, sum(self._topk_per_level)) if max_per_img > 0 else sum(
            self._topk_per_level)
        iou_threshold = get_iou_threshold(cfg.get("nms"), "test_cfg.rpn")
        self.nms = BatchedNMS(iou_threshold, max_per_img, input_hw, len(counts))
        levels = [torch.full((count,), level) for level, count in enumerate(self._topk_per_level)]
        self.register_buffer("levels", torch.cat(levels), False)

    levels: Tensor

    def _level_anchors(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._anchors]

    def forward(self, maps: Sequence[Tensor], clip_bounds: Tensor) -> tuple[Tensor, Tensor]:
        """Predict proposals.

        Args:
            maps: feature maps of the levels, (B, C, h, w) each.
            clip_bounds: (B, 1, 4) float32, from ``get_clip_bounds``.

        Returns:
            boxes (B, R, 4) float32, xyxy, pixels of the input, padded with zeros, and their scores
            (B, R) float32, highest first, padded with `INVALID_SCORE`.
        """
        scores, deltas = self.head(tuple(maps))
        all_boxes, all_scores = [], []
        for level, anchors in enumerate(self._level_anchors()):
            # channels first to anchors first: (B, a * k, h, w) -> (B, h * w * a, k)
            objectness = scores[level].permute(0, 2, 3, 1).flatten(1).float()
            level_deltas = deltas[level].permute(0, 2, 3, 1).flatten(1).float()
            level_deltas = level_deltas.reshape(objectness.shape[0], -1, 4)
            if self._topk_per_level[level] < anchors.shape[0]:
                # The sigmoid is monotonic, so it is applied after topk, to fewer values.
                objectness, topk_indices = torch.topk(objectness, self._topk_per_level[level],
                                                      dim=1)
                level_deltas = gather_rows(level_deltas, topk_indices)
                anchors = anchors[topk_indices]
            else:
                anchors = anchors.unsqueeze(0)
            all_boxes.append(self.decode(anchors, level_deltas, clip_bounds))
            all_scores.append(objectness.sigmoid())
        boxes, objectness = torch.cat(all_boxes, dim=1), torch.cat(all_scores, dim=1)
        if self._min_size >= 0:
            size = boxes[..., 2:] - boxes[..., :2]
            large_enough = (size > self._min_size).all(dim=-1)
            objectness = torch.where(large_enough, objectness,
                                     torch.full_like(objectness, INVALID_SCORE))
        best, topk_indices = self.nms(boxes, objectness, self.levels)
        kept_boxes = gather_rows(boxes, topk_indices)
        return torch.where((best > INVALID_SCORE).unsqueeze(-1), kept_boxes,
                           torch.zeros_like(kept_boxes)), best
