"""What a static graph gives: results of fixed size, zeros beyond the count.

Legend: B images; N candidates of each; K results at most of each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.inference.graph.batched_nms import NOTHING, take

# boxes (B, K, 4) float32, xyxy, pixels of the canvas; scores (B, K) float32, highest first;
# labels (B, K) int64; counts (B,) int64
Results = tuple[Tensor, Tensor, Tensor, Tensor]


def results_of(boxes: Tensor, labels: Tensor, best: Tensor, chosen: Tensor) -> Results:
    """The chosen candidates, of each image as many as there are.

    Args:
        boxes: (B, N, 4) float32, xyxy, pixels of the canvas.
        labels: (B, N) int64.
        best, chosen: (B, K), what ``Select`` gives: scores, and places among the N.
    """
    found = best > NOTHING
    return (
        torch.where(found.unsqueeze(-1), take(boxes, chosen), 0.0),
        torch.where(found, best, 0.0),
        torch.where(found, torch.gather(labels, 1, chosen), 0),
        found.sum(dim=1),
    )
