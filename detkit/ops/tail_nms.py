"""NMS that keeps the suppressed boxes as a tail of low scores: the ``nms`` type 'tail_nms'.

Legend: B images; N boxes, xyxy, pixels, ordered by score.
"""

from __future__ import annotations

import importlib

import torch
from torch import Tensor

from detkit.ops.nms import nms

NMS_TYPE = "tail_nms"
NMS_PRE = 500
TAIL = 0.1
MIN_SCORE = 0.001


def tail_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    nms_pre: int = NMS_PRE,
    tail: float = TAIL,
    min_score: float = MIN_SCORE,
    max_num: int = -1,
) -> tuple[Tensor, Tensor]:
    """Keep what NMS keeps, with its scores, and the suppressed boxes with low ones.

    A detector's best-scored box is not always its best-placed one. Average precision rewards a
    better-placed box further down the list; NMS has removed it. A suppressed box stays with the
    score ``tail * score * (1 - IoU)``, of the highest IoU with a better-scored box. So the
    detections above the score ``tail`` are those of NMS.

    Args:
        boxes: (N, 4) floating point. N may be 0.
        scores: (N,) floating point, 0 to 1.
        iou_threshold: boxes with an IoU above it are suppressed.
        nms_pre: number of boxes, those with the highest scores, that are considered.
        tail: factor on the scores of suppressed boxes, 0 to 1.
        min_score: suppressed boxes with a lower score are dropped.
        max_num: maximum number of results; below 1, no limit.

    Returns:
        (K, 5) boxes and scores, highest score first, and (K,) int64 indices into ``boxes``.

    Source: scores decay by IoU as in Soft-NMS, arXiv 1704.04503, in one pass as in SOLOv2's matrix
    NMS, arXiv 2003.10152; the separate tail is detkit's own.
    """
    if not len(scores):
        return boxes.new_zeros(0, 5), torch.zeros(0, dtype=torch.long, device=boxes.device)
    order = scores.topk(min(nms_pre, len(scores))).indices
    best_boxes, best_scores = boxes[order], scores[order]
    kept = torch.zeros_like(best_scores, dtype=torch.bool)
    kept[nms(best_boxes, best_scores, iou_threshold, 0)] = True
    suppressed = suppressed_scores(best_boxes, best_scores, tail, min_score)
    new_scores = torch.where(kept, best_scores, suppressed)
    ranking = new_scores.argsort(descending=True, stable=True)
    ranking = ranking[kept[ranking] | (new_scores[ranking] > 0)]
    if max_num > 0:
        ranking = ranking[:max_num]
    dets = torch.cat([best_boxes[ranking], new_scores[ranking].unsqueeze(1)], dim=1)
    return dets, order[ranking]


def suppressed_scores(boxes: Tensor, scores: Tensor, tail: float, min_score: float,
                      group: Tensor | None = None) -> Tensor:
    """The scores that boxes get if they are suppressed.

    Args:
        boxes: (..., N, 4) floating point, highest score first.
        scores: (..., N) floating point.
        tail, min_score: as of ``tail_nms``.
        group: (..., N) int64, as a class; only boxes of one group count. None is one group.

    Returns:
        (..., N), 0 instead of a score below ``min_score``.
    """
    left_top = torch.maximum(boxes.unsqueeze(-2)[..., :2], boxes.unsqueeze(-3)[..., :2])
    right_bottom = torch.minimum(boxes.unsqueeze(-2)[..., 2:], boxes.unsqueeze(-3)[..., 2:])
    inner = (right_bottom - left_top).clamp(min=0)
    intersection = inner[..., 0] * inner[..., 1]
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    union = area.unsqueeze(-1) + area.unsqueeze(-2) - intersection
    index = torch.arange(scores.shape[-1], device=scores.device)
    better = index.unsqueeze(-1) < index.unsqueeze(-2)
    if group is not None:
        better = better & (group.unsqueeze(-1) == group.unsqueeze(-2))
    iou = torch.where(better, intersection / union.clamp(min=1e-6), 0.0)
    low = scores * tail * (1 - iou.amax(dim=-2))
    return torch.where(low >= min_score, low, 0.0)


def add_to_mmcv() -> None:
    """Let ``nms=dict(type='tail_nms', ...)`` of a config find the function where mmcv looks."""
    # mmcv.ops.nms is the function; the module of the same name is found by its name only.
    for name in ("mmcv.ops", "mmcv.ops.nms"):
        setattr(importlib.import_module(name), NMS_TYPE, tail_nms)
