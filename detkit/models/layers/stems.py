"""Stems with stride 4: patch embedding, or overlapping convolutions.

Legend: B images, H and W height and width of the image in pixels, C channels. Maps are NHWC.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchStem(nn.Module):
    """Patch embedding: project each 4 x 4 patch of the image to one token.

    Args:
        in_channels: channels of the image.
        channels: C.
        norm: whether the tokens are normalized.
        eps: of the norm.
    """

    stride = 4

    def __init__(
        self, in_channels: int, channels: int, norm: bool = True, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, self.stride, self.stride)
        self.norm = nn.LayerNorm(channels, eps=eps) if norm else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, ceil(H / 4), ceil(W / 4), C), zero-padded at the bottom right."""
        height, width = image.shape[-2:]
        if height % self.stride or width % self.stride:
            image = F.pad(image, (0, -width % self.stride, 0, -height % self.stride))
        tokens: Tensor = self.norm(self.proj(image).permute(0, 2, 3, 1))
        return tokens


class ConvStem(nn.Module):
    """Two overlapping 3 x 3 convolutions of stride 2; output size as ``PatchStem``.

    Convolutional stems let transformers train from scratch on small datasets.

    Args: as for ``PatchStem``.

    Source: arXiv 2106.14881.
    """

    stride = 4

    def __init__(
        self, in_channels: int, channels: int, norm: bool = True, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels // 2, 3, 2, 1)
        self.norm1 = nn.LayerNorm(channels // 2, eps=eps)
        self.conv2 = nn.Conv2d(channels // 2, channels, 3, 2, 1)
        self.norm = nn.LayerNorm(channels, eps=eps) if norm else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) pixels -> (B, ceil(H / 4), ceil(W / 4), C)."""
        x = self.conv1(image.contiguous(memory_format=torch.channels_last))
        x = F.gelu(self.norm1(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        tokens: Tensor = self.norm(self.conv2(x).permute(0, 2, 3, 1))
        return tokens
