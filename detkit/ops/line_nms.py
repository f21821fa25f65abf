"""NMS of lane lines, with the signature of mmcv's extension."""

from __future__ import annotations

import torch
from torch import Tensor

# Fields of a row before the x positions: two scores, start y, start x, length.
START, LENGTH, FIRST_X = 2, 4, 5


def line_nms_forward(
    lines: Tensor, scores: Tensor, overlap: float, top_k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the best of lines whose mean horizontal distance is below a threshold.

    Args:
        lines: (N, 5 + P) floating point: two scores, start y (0 to 1, from the first of P
            strips), start x, length in strips, and the x position at each of P heights, pixels.
        scores: (N,) floating point.
        overlap: lines are duplicates where they have common heights and their mean distance
            there, in pixels, is below it.
        top_k: maximum number of lines to keep.

    Returns:
        kept (N,) int64: indices, best first, then zeros; count () int64: number of kept lines;
        owner (N,) int64: for each line the rank, from 1, of the kept line that suppresses it, 0
        for lines after ``top_k``. N may be 0.

    Source: CLRNet (arXiv 2203.10350). mmcv has it for CUDA only, where the row of the better line
        is not indexed by its rank; here it is.
    """
    num_lines = lines.shape[0]
    kept = torch.zeros(num_lines, dtype=torch.long, device=lines.device)
    owner = torch.zeros_like(kept)
    remaining = torch.sort(scores, descending=True, stable=True)[1]
    count = 0
    while remaining.numel() and count < top_k:
        best, others = remaining[0], remaining[1:]
        suppressed = _is_near(lines[best], lines[others], overlap)
        count += 1
        kept[count - 1] = best
        owner[best] = count
        owner[others[suppressed]] = count
        remaining = others[~suppressed]
    return kept, torch.tensor(count, device=lines.device), owner


def _is_near(line: Tensor, others: Tensor, overlap: float) -> Tensor:
    """Which of ``others`` (M, 5 + P) are duplicates of ``line`` (5 + P,): (M,) bool."""
    num_heights = line.numel() - FIRST_X
    start = torch.maximum(_start(line[None], num_heights), _start(others, num_heights))
    end = torch.minimum(_end(line[None], num_heights), _end(others, num_heights)).clamp(
        max=num_heights - 1
    )
    height = torch.arange(num_heights, device=line.device)
    common_heights = (height >= start[:, None]) & (height <= end[:, None])
    distance = ((others[:, FIRST_X:] - line[FIRST_X:]).abs() * common_heights).sum(1)
    return (end >= start) & (start >= 0) & (distance < overlap * (end - start + 1))


def _start(lines: Tensor, num_heights: int) -> Tensor:
    return (lines[:, START] * (num_heights - 1) + 0.5).trunc().long()


def _end(lines: Tensor, num_heights: int) -> Tensor:
    return _start(lines, num_heights) + lines[:, LENGTH].trunc().long() - 1
