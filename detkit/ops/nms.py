"""NMS, Soft-NMS and NMS groups of boxes, with the signatures of mmcv's extension.

Legend: N boxes, xyxy, pixels. Thresholds are rounded to float32 first, as in mmcv's kernels, so
that an IoU of exactly 0.6 is not above a threshold of 0.6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.ops import nms as torchvision_nms

from detkit.ops.precision import working_dtype

Array = npt.NDArray[Any]
NAIVE, LINEAR, GAUSSIAN = 0, 1, 2
# Smaller groups are not worth a separate call.
MIN_GROUP_SIZE = 200


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Keep the best of boxes that overlap by more than a threshold.

    Args:
        boxes: (N, 4) floating point, xyxy.
        scores: (N,) floating point.
        iou_threshold: boxes with an IoU above it, not equal to it, are dropped.
        offset: 0, or 1 for boxes that include their last pixel (width is x2 - x1 + 1).

    Returns:
        (K,) int64, indices into ``boxes``, best score first. N may be 0.
    """
    if boxes.numel() == 0:
        return torch.zeros(0, dtype=torch.long, device=boxes.device)
    boxes = boxes.detach().to(working_dtype(boxes))
    if offset:
        boxes = torch.cat((boxes[:, :2], boxes[:, 2:] + offset), dim=1)
    scores, threshold = scores.to(boxes.dtype), _round_to_float32(iou_threshold)
    groups = _split_disjoint_groups(boxes) if threshold >= 0 else []
    if len(groups) < 2:
        kept: Tensor = torchvision_nms(boxes, scores, threshold)
        return kept
    keep = torch.zeros(len(boxes), dtype=torch.bool)
    for group in groups:
        keep[group[torchvision_nms(boxes[group], scores[group], threshold)]] = True
    order = scores.sort(stable=True, descending=True).indices
    return order[keep[order]]


def _split_disjoint_groups(boxes: Tensor) -> list[Tensor]:
    """Split boxes on the CPU into groups without common x; empty where it would not be faster.

    torchvision compares each kept box with all later ones, on one core. mmcv offsets the levels of
    a pyramid, and classes, in x for a single call: as groups, boxes are compared within them.

    Returns:
        (n,) int64 each, indices in ascending order.
    """
    if boxes.device.type != "cpu" or len(boxes) < 2 * MIN_GROUP_SIZE:
        return []
    if not bool(boxes.isfinite().all()):
        return []
    x1, by_x1 = boxes[:, 0].sort()
    max_x2 = boxes[by_x1, 2].cummax(0).values
    ends: list[int] = []
    for end in ((x1[1:] >= max_x2[:-1]).nonzero()[:, 0] + 1).tolist():
        if end - (ends[-1] if ends else 0) >= MIN_GROUP_SIZE:
            ends.append(end)
    sizes = [end - begin for begin, end in zip([0, *ends], [*ends, len(boxes)])]
    return [group.sort().values for group in torch.split(by_x1, sizes)]


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Select boxes by score, lowering the scores of boxes that overlap selected ones.

    Args:
        boxes: (N, 4) floating point, xyxy.
        scores: (N,) floating point.
        dets: (N, 5) floating point on the CPU; the first K rows are filled with xyxy and the
            lowered score, in the order of selection. The other rows are unchanged.
        iou_threshold: the naive and the linear method lower scores from this IoU.
        sigma: of the gaussian method.
        min_score: a box is dropped when its lowered score is below it. The first selected box is
            never dropped.
        method: 0 naive (to zero), 1 linear (times 1 - IoU), 2 gaussian (times exp(-IoU^2 / sigma)).
        offset: 0, or 1 for boxes that include their last pixel.

    Returns:
        (K,) int64, indices into ``boxes``, in the order of selection. N may be 0.

    Source: Soft-NMS (arXiv 1704.04503). Ties and the order after dropped boxes as in mmcv's CPU
        kernel: the last box moves to the position of a dropped one, and of equal scores the
        first is selected.
    """
    if boxes.numel() == 0:
        return torch.zeros(0, dtype=torch.long)
    box_array = _to_numpy(boxes)
    remaining_scores = _to_numpy(scores).astype(box_array.dtype, copy=True)
    areas = _areas(box_array, offset)
    threshold = _round_to_float32(iou_threshold)
    order = np.arange(len(remaining_scores))
    picked = 0
    while picked < len(order):
        best = picked + _argmax_ignoring_nan(remaining_scores[order[picked:]])
        order[picked], order[best] = order[best], order[picked]
        chosen, rest = order[picked], order[picked + 1 :]
        iou = _iou_with_box(box_array, areas, chosen, rest, offset)
        if method == GAUSSIAN:
            factor = np.exp(-(iou * iou) / iou.dtype.type(sigma))
        else:
            lowered = 1 - iou if method == LINEAR else np.zeros_like(iou)
            factor = np.where(iou >= threshold, lowered, iou.dtype.type(1))
        remaining_scores[rest] *= factor
        rest = _compact(rest, ~(remaining_scores[rest] < iou.dtype.type(min_score)))
        picked += 1
        order = np.concatenate((order[:picked], rest))
    picks = torch.from_numpy(order)
    dets[: len(order), :4] = boxes.detach().cpu()[picks].to(dets.dtype)
    dets[: len(order), 4] = torch.from_numpy(remaining_scores[order]).to(dets.dtype)
    return picks


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group each kept box with the boxes that it suppresses.

    Args:
        dets: (N, 5) floating, xyxy and score.
        iou_threshold: boxes with at least this IoU join the better one's group.

    Returns:
        A list for each kept box, best first: its index, then those of its group, best first.
        N may be 0.
    """
    if dets.numel() == 0:
        return []
    rows = _to_numpy(dets)
    areas = _areas(rows, 0)
    remaining = torch.sort(torch.from_numpy(rows[:, 4]), descending=True, stable=True)[1].numpy()
    threshold = _round_to_float32(iou_threshold)
    groups: list[list[int]] = []
    while len(remaining):
        chosen, rest = remaining[0], remaining[1:]
        suppressed = _iou_with_box(rows, areas, chosen, rest, 0) >= threshold
        groups.append([int(chosen), *rest[suppressed].tolist()])
        remaining = rest[~suppressed]
    return groups


def _to_numpy(values: Tensor) -> Array:
    array: Array = values.detach().to(working_dtype(values)).cpu().numpy()
    return array


def _round_to_float32(threshold: float) -> float:
    return float(np.float32(threshold))


def _areas(boxes: Array, offset: int) -> Array:
    sides = boxes[:, 2:4] - boxes[:, :2] + offset
    areas: Array = sides[:, 0] * sides[:, 1]
    return areas


def _iou_with_box(boxes: Array, areas: Array, box_index: int, others: Array,
                  offset: int) -> Array:
    low = np.maximum(boxes[box_index, :2], boxes[others, :2])
    high = np.minimum(boxes[box_index, 2:4], boxes[others, 2:4])
    sides = np.maximum(high - low + offset, 0)
    intersection = sides[:, 0] * sides[:, 1]
    # two boxes of zero area give 0 / 0 = nan, which is neither above nor below a threshold
    with np.errstate(invalid="ignore", divide="ignore"):
        iou: Array = intersection / (areas[box_index] + areas[others] - intersection)
    return iou


def _argmax_ignoring_nan(scores: Array) -> int:
    if np.isnan(scores[0]):
        return 0
    return int(np.argmax(np.where(np.isnan(scores), -np.inf, scores)))


def _compact(items: Array, keep: Array) -> Array:
    """Drop items, filling each gap with the last kept one, as mmcv's kernel does."""
    count = int(keep.sum())
    if count == len(items):
        return items
    front = items[:count].copy()
    front[~keep[:count]] = items[count:][keep[count:]][::-1]
    return front
