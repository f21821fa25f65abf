"""The region proposal network as a part of a static graph.

Legend: B images; A anchors of a level; N candidates over all levels; R proposals at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import ExportError
from detkit.inference.graph.anchors import lay_priors
from detkit.inference.graph.batched_nms import NOTHING, Select, iou_threshold, take
from detkit.inference.graph.box_coder import BoxDecoder


class Proposals(nn.Module):
    """mmdet's ``RPNHead.predict`` with anchors as constants and a fixed number of results.

    Args:
        head: the RPN head, whose convolutions are shared.
        cfg: the model's ``test_cfg.rpn``.
        sizes_hw: height and width of each level in cells.
        canvas_hw: height and width of the canvas in pixels.

    Raises:
        ExportError: another head, coder or suppression.
    """

    def __init__(
        self,
        head: Any,
        cfg: Any,
        sizes_hw: Sequence[tuple[int, int]],
        canvas_hw: tuple[int, int],
    ) -> None:
        super().__init__()
        if type(head).__name__ != "RPNHead" or not head.use_sigmoid_cls:
            raise ExportError("the model's rpn_head", got=type(head).__name__,
                              expected="RPNHead with sigmoid scores")
        self.head = head
        self.decode = BoxDecoder(head.bbox_coder)
        self._sizes = [tuple(size) for size in sizes_hw]
        self._anchors = lay_priors(self, head.prior_generator, sizes_hw)
        before = int(cfg.get("nms_pre", -1))
        counts = [anchors.shape[0] for anchors in self._level_anchors()]
        self._most = [min(count, before) if before > 0 else count for count in counts]
        self._min_size = float(cfg.get("min_bbox_size", -1))
        most = int(cfg.get("max_per_img", -1))
        most = min(most, sum(self._most)) if most > 0 else sum(self._most)
        self.select = Select(iou_threshold(cfg.get("nms"), "test_cfg.rpn"), most, canvas_hw,
                             len(counts))
        levels = [torch.full((number,), level) for level, number in enumerate(self._most)]
        self.register_buffer("levels", torch.cat(levels), False)

    levels: Tensor

    def _level_anchors(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._anchors]

    def forward(self, maps: Sequence[Tensor], limits: Tensor) -> tuple[Tensor, Tensor]:
        """The most likely places of objects.

        Args:
            maps: of the levels, (B, C, h, w) each.
            limits: (B, 1, 4) float32, from ``boxes.limits_of``.

        Returns:
            boxes (B, R, 4) float32, xyxy, pixels of the canvas, zeros beyond the real ones, and
            their scores (B, R) float32, highest first, `NOTHING` beyond the real ones.
        """
        scores, deltas = self.head(tuple(maps))
        all_boxes, all_scores = [], []
        for level, anchors in enumerate(self._level_anchors()):
            # channels first to anchors first: (B, a * k, h, w) -> (B, h * w * a, k)
            likely = scores[level].permute(0, 2, 3, 1).flatten(1).float()
            moves = deltas[level].permute(0, 2, 3, 1).flatten(1).float()
            moves = moves.reshape(likely.shape[0], -1, 4)
            if self._most[level] < anchors.shape[0]:
                # The sigmoid keeps the order; taking it afterwards is less to do.
                likely, places = torch.topk(likely, self._most[level], dim=1)
                moves = take(moves, places)
                anchors = anchors[places]
            else:
                anchors = anchors.unsqueeze(0)
            all_boxes.append(self.decode(anchors, moves, limits))
            all_scores.append(likely.sigmoid())
        boxes, likely = torch.cat(all_boxes, dim=1), torch.cat(all_scores, dim=1)
        if self._min_size >= 0:
            size = boxes[..., 2:] - boxes[..., :2]
            large = (size > self._min_size).all(dim=-1)
            likely = torch.where(large, likely, torch.full_like(likely, NOTHING))
        best, places = self.select(boxes, likely, self.levels)
        found = take(boxes, places)
        return torch.where((best > NOTHING).unsqueeze(-1), found, torch.zeros_like(found)), best
