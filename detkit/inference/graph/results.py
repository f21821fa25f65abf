"""Outputs of a static graph: of fixed size, padded with zeros.

Shapes: B images; N candidates per image; at most K results per image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.inference.graph.batched_nms import INVALID_SCORE, gather_rows

# boxes (B, K, 4) float32, xyxy, pixels of the input; scores (B, K) float32, highest first;
# labels (B, K) int64; counts (B,) int64
Results = tuple[Tensor, Tensor, Tensor, Tensor]


def pack_results(boxes: Tensor, labels: Tensor, best: Tensor, keep_indices: Tensor) -> Results:
    """The results that ``BatchedNMS`` selected, padded with zeros.

    Args:
        boxes: (B, N, 4) float32, xyxy, pixels of the input.
        labels: (B, N) int64.
        best, keep_indices: (B, K), from ``BatchedNMS``: scores, and indices of candidates.
    """
    valid = best > INVALID_SCORE
    return (
        torch.where(valid.unsqueeze(-1), gather_rows(boxes, keep_indices), 0.0),
        torch.where(valid, best, 0.0),
        torch.where(valid, torch.gather(labels, 1, keep_indices), 0),
        valid.sum(dim=1),
    )
