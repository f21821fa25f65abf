"""Backbone and neck as a part of a static graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detkit.inference.graph.image_preprocessor import Pictures


class Pyramid(nn.Module):
    """Canvases of bytes to the maps that a detector's heads read.

    Args:
        model: mmdet's detector, whose preprocessor, backbone and neck are taken.
        canvas_hw: height and width of the canvas in pixels.

    Attributes:
        sizes_hw: height and width of each level in cells.
    """

    def __init__(self, model: Any, canvas_hw: tuple[int, int]) -> None:
        super().__init__()
        self.pictures = Pictures(model.data_preprocessor)
        self.body = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        device = next(model.parameters()).device
        with torch.inference_mode():
            maps = self._maps(torch.zeros((1, 3, *canvas_hw), device=device))
        self.sizes_hw = [(int(one.shape[2]), int(one.shape[3])) for one in maps]

    def forward(self, images: Tensor, valid_hw: Tensor) -> Sequence[Tensor]:
        """The levels, (B, C, h, w) each, of (B, H, W, 3) uint8 RGB and (B, 2) int64."""
        return self._maps(self.pictures(images, valid_hw))

    def _maps(self, inputs: Tensor) -> Sequence[Tensor]:
        maps: Sequence[Tensor] = self.neck(self.body(inputs))
        return maps
