"""Pairwise or aligned overlap of boxes (mmcv's ``bbox_overlaps``)."""

from __future__ import annotations

import torch
from torch import Tensor

IOU, IOF = 0, 1


def bbox_overlaps(
    boxes1: Tensor, boxes2: Tensor, overlaps: Tensor, mode: int, aligned: bool, offset: int
) -> None:
    """Write the overlap of boxes into ``overlaps``.

    Args:
        boxes1: (N, 4) floating point, xyxy, pixels.
        boxes2: (M, 4) floating, xyxy, pixels.
        overlaps: (N,) when ``aligned`` and N equals M, else (N, M); filled. N and M may be 0.
        mode: 0 for intersection over union, 1 for intersection over the area of the first box.
        aligned: compute overlaps of pairs with the same index.
        offset: 0, or 1 for boxes that include their last pixel.

    Two boxes of zero area give nan, as in mmcv's kernel.
    """
    if overlaps.numel() == 0:
        return
    if boxes1.dtype in (torch.float16, torch.bfloat16):
        boxes1, boxes2 = boxes1.float(), boxes2.float()
    first = boxes1.unbind(1)
    second = boxes2.unbind(1)
    area1 = (first[2] - first[0] + offset) * (first[3] - first[1] + offset)
    area2 = (second[2] - second[0] + offset) * (second[3] - second[1] + offset)
    if not aligned:
        first = tuple(side[:, None] for side in first)
        area1 = area1[:, None]
    width = torch.minimum(first[2], second[2]) - torch.maximum(first[0], second[0])
    height = torch.minimum(first[3], second[3]) - torch.maximum(first[1], second[1])
    intersection = (width + offset).clamp_(min=0) * (height + offset).clamp_(min=0)
    denominator = area1 + area2 - intersection if mode == IOU else area1
    overlaps.copy_(intersection / denominator)
