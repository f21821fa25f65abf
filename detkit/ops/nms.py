"""Suppression of boxes that overlap better ones: hard, soft, and the groups it makes.

N: boxes; boxes are xyxy in pixels of whatever image they belong to.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import nms as torchvision_nms


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Keep the best of boxes that overlap by more than a threshold.

    Args:
        boxes: (N, 4) floating, xyxy.
        scores: (N,) floating.
        iou_threshold: boxes with an IoU above it, not equal to it, are dropped.
        offset: 0, or 1 for boxes whose last pixel belongs to them (width is x2 - x1 + 1).

    Returns:
        (K,) int64, indices into ``boxes``, best score first. N may be 0.
    """
    if boxes.numel() == 0:
        return torch.zeros(0, dtype=torch.long, device=boxes.device)
    if boxes.dtype in (torch.float16, torch.bfloat16):
        boxes, scores = boxes.float(), scores.float()
    if offset:
        boxes = torch.cat((boxes[:, :2], boxes[:, 2:] + offset), dim=1)
    kept: Tensor = torchvision_nms(boxes, scores.to(boxes.dtype), iou_threshold)
    return kept
