"""Preprocessing, backbone and neck of a static graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detkit.inference.graph.image_preprocessor import ImagePreprocessor


class FeatureExtractor(nn.Module):
    """From uint8 images to the feature maps that a detector's heads take.

    Args:
        model: mmdet's detector; its preprocessor, backbone and neck are used.
        input_hw: height and width of the input in pixels.

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
        """Feature maps, (B, C, h, w) per level, of images (B, H, W, 3) and their sizes (B, 2)."""
        return self._maps(self.preprocessor(images, image_hw))

    def _maps(self, inputs: Tensor) -> Sequence[Tensor]:
        maps: Sequence[Tensor] = self.neck(self.backbone(inputs))
        return maps
