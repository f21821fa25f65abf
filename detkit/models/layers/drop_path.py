"""Stochastic depth: residual branches dropped at random for each image during training."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Zero the branch of each image with probability ``rate``; scale the others by 1 / (1 - rate).

    The expected output equals the input. In eval mode, and at rate 0, the input is returned.

    Args:
        rate: in [0, 1).

    Raises:
        ValueError: the rate is outside [0, 1).

    Source: Deep Networks with Stochastic Depth (arXiv 1603.09382).
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"drop path rate: got {rate}, expected a number in [0, 1)")
        self.rate = float(rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...), dtype kept; B may be 0."""
        if self.rate == 0.0 or not self.training:
            return x
        keep = 1.0 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * (torch.rand(shape, device=x.device) < keep).to(x.dtype).div_(keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"
