"""What a static graph gives: results of fixed size, zeros beyond the count.

Legend: B images; N candidates of each; K results at most of each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.inference.graph.batched_nms import INVALID_SCORE, gather_rows

# boxes (B, K, 4) float32, xyxy, pixels of the canvas; scores (B, K) float32, highest first;
# labels (B, K) int64; counts (B,) int64
Results = tuple[Tensor, Tensor, Tensor, Tensor]


def pack_results(boxes: Tensor, labels: Tensor, best: Tensor, keep_indices: Tensor) -> Results:
    """The chosen candidates, of each image as many as there are.

    Args:
        boxes: (B, N, 4) float32, xyxy, pixels of the canvas.
        labels: (B, N) int64.
        best, keep_indices: (B, K), what ``BatchedNMS`` gives: scores, and places among the N.
    """
    valid = best > INVALID_SCORE
    return (
        torch.where(valid.unsqueeze(-1), gather_rows(boxes, keep_indices), 0.0),
        torch.where(valid, best, 0.0),
        torch.where(valid, torch.gather(labels, 1, keep_indices), 0),
        valid.sum(dim=1),
    )
