"""Backbone and neck as a part of a static graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detkit.inference.graph.image_preprocessor import ImagePreprocessor


class FeatureExtractor(nn.Module):
    """Canvases of bytes to the maps that a detector's heads read.

    Args:
        model: mmdet's detector, whose preprocessor, backbone and neck are taken.
        input_hw: height and width of the canvas in pixels.

    Attributes:
        sizes_hw: height and width of each level in cells.
    """

    def __init__(self, model: Any, input_hw: tuple[int, int]) -> None:
        super().__init__()
        self.preprocessor = ImagePreprocessor(model.data_preprocessor)
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        device = next(model.parameters()).device
        with torch.inference_mode():
            maps = self._maps(torch.zeros((1, 3, *input_hw), device=device))
        self.sizes_hw = [(int(level_map.shape[2]), int(level_map.shape[3])) for level_map in maps]

    def forward(self, images: Tensor, image_hw: Tensor) -> Sequence[Tensor]:
        """The levels, (B, C, h, w) each, of (B, H, W, 3) uint8 RGB and (B, 2) int64."""
        return self._maps(self.preprocessor(images, image_hw))

    def _maps(self, inputs: Tensor) -> Sequence[Tensor]:
        maps: Sequence[Tensor] = self.neck(self.backbone(inputs))
        return maps
