"""Anchors and points as constants of a static graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


def register_anchors(
    module: nn.Module, generator: Any, sizes_hw: Sequence[tuple[int, int]]
) -> list[str]:
    """Register the priors of each level as a buffer of ``module``.

    Args:
        module: gets the buffers, which are not saved in its state dict.
        generator: a head's ``prior_generator``.
        sizes_hw: height and width of each level in cells.

    Returns:
        The buffers' names. Anchors are (P, 4) float32, xyxy, points (P, 2), xy; in pixels of the
        input, in the order of the head's channels.
    """
    grids = generator.grid_priors([tuple(size) for size in sizes_hw], device="cpu")
    names = []
    for level, grid in enumerate(grids):
        names.append(f"priors{level}")
        module.register_buffer(names[-1], grid.float().contiguous(), False)
    return names
