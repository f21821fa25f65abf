"""Normalize and pad uint8 images as the network was trained on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import ExportError


class ImagePreprocessor(nn.Module):
    """The network's input from uint8 images, as mmdet's ``DetDataPreprocessor`` computes it.

    Args:
        preprocessor: a detector's ``data_preprocessor``; its mean, std, channel order and pad
            value are used.

    Raises:
        ExportError: it is not one of mmdet's or mmengine's image preprocessors.

    Shapes: B images; H x W the input.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessor: Any) -> None:
        super().__init__()
        if not hasattr(preprocessor, "_channel_conversion"):
            raise ExportError(
                "the model's data_preprocessor", got=type(preprocessor).__name__,
                expected="DetDataPreprocessor",
            )
        normalized = bool(preprocessor._enable_normalize)
        mean = preprocessor.mean if normalized else torch.zeros(3, 1, 1)
        std = preprocessor.std if normalized else torch.ones(3, 1, 1)
        self.register_buffer("mean", mean.detach().clone().float().view(1, -1, 1, 1), False)
        self.register_buffer("std", std.detach().clone().float().view(1, -1, 1, 1), False)
        # Pipelines load BGR; a network without the conversion was trained on BGR.
        self._as_bgr = not preprocessor._channel_conversion
        self._pad_value = float(preprocessor.pad_value)

    def forward(self, images: Tensor, image_hw: Tensor) -> Tensor:
        """Normalize the images and fill the rest of the input with the pad value.

        Args:
            images: (B, H, W, 3) uint8 RGB.
            image_hw: (B, 2) int64, height and width of the image at the top left of each input.

        Returns:
            (B, 3, H, W) float32.
        """
        pixels = images.permute(0, 3, 1, 2).float()
        if self._as_bgr:
            pixels = pixels.flip(1)
        normalized = (pixels - self.mean) / self.std
        height, width = images.shape[1], images.shape[2]
        rows = torch.arange(height, device=images.device).view(1, 1, height, 1)
        columns = torch.arange(width, device=images.device).view(1, 1, 1, width)
        inside = (rows < image_hw[:, 0].view(-1, 1, 1, 1)) & (
            columns < image_hw[:, 1].view(-1, 1, 1, 1)
        )
        return torch.where(inside, normalized, torch.full_like(normalized, self._pad_value))
