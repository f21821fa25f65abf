"""Layers of ConvNeXt V2: response normalization, the block, attention and downsampling.

Legend: B images, H and W height and width of the map, C channels. Maps are NHWC.
Source: arXiv 2301.00808, sections 3.2 and 3.3 (GRN), and 2201.03545 (the block).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from detkit.models.layers.deform_conv import DeformConv2d
from detkit.models.layers.depthwise_conv import DepthwiseConv2d
from detkit.models.layers.drop_path import DropPath

NORM_EPS = 1e-6
KERNEL_SIZE = 7


class GlobalResponseNorm(nn.Module):
    """Scale each channel by its norm over the map relative to the mean over channels.

    With g the L2 norm of a channel over H and W, and n = g / (mean of g over the channels):
    y = x + gamma * (x * n) + beta. gamma and beta are initialized to zero: the identity.

    Args:
        channels: C.

    Source: arXiv 2301.00808, algorithm 1. Agrees with timm's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def gain(self, x: Tensor) -> Tensor:
        """The factor on each channel of each image: (B, H, W, C) -> (B, C), float32 at least."""
        # torch's own norm is up to ten times slower over these axes on a CPU. clamp: the derivative
        # of the root is infinite at 0, and a channel may be 0 everywhere.
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        norm = x.square().sum((1, 2)).clamp(min=1e-24).sqrt()
        return 1 + self.gamma * (norm / (norm.mean(-1, keepdim=True) + NORM_EPS))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        return x * self.gain(x)[:, None, None].to(x.dtype) + self.beta.to(x.dtype)


class ConvNeXtV2Block(nn.Module):
    """Depthwise 7 x 7 convolution, norm, MLP with expansion 4, and a residual connection.

    Args:
        channels: C.
        drop_path: probability of dropping the residual branch during training.
        deform: whether the depthwise convolution is deformable (arXiv 1811.11168).
    """

    def __init__(self, channels: int, drop_path: float = 0.0, deform: bool = False) -> None:
        super().__init__()
        padding = KERNEL_SIZE // 2
        self.dwconv = (
            DeformConv2d(channels, channels, KERNEL_SIZE, padding=padding, groups=channels)
            if deform else DepthwiseConv2d(channels, KERNEL_SIZE, padding=padding)
        )
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.grn = GlobalResponseNorm(4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        branch = self.dwconv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        branch = F.gelu(self.pwconv1(self.norm(branch)))
        out: Tensor = x + self.drop_path(self._normalize_and_project(branch))
        return out

    def _normalize_and_project(self, x: Tensor) -> Tensor:
        """``pwconv2(grn(x))``, (B, H, W, 4C) -> (B, H, W, C)."""
        batch, height, width = x.shape[:3]
        if height * width < self.norm.normalized_shape[0]:
            out: Tensor = self.pwconv2(self.grn(x))
            return out
        # Fold the gain into the weights, which are fewer than the values of the map, and the shift
        # into the bias: no extra pass over the map, and no copy kept for the backward pass.
        weight = self.pwconv2.weight.t() * self.grn.gain(x)[:, :, None].to(x.dtype)
        bias = F.linear(self.grn.beta, self.pwconv2.weight, self.pwconv2.bias)
        out = torch.baddbmm(bias.to(x.dtype), x.flatten(1, 2), weight.to(x.dtype))
        return out.view(batch, height, width, self.pwconv2.out_features)


class GlobalAttention(nn.Module):
    """Self-attention over all positions of the map, with a residual connection and layer scale.

    For coarse stages: time and memory grow with the square of the number of positions. There is
    no position encoding; the depthwise convolutions before it provide positions.

    Args:
        channels: C; heads have 64 channels where that divides C, else 32 or 16, else one head.

    Source: arXiv 1706.03762; layer scale, 2103.17239.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = next((channels // size for size in (64, 32, 16) if channels % size == 0), 1)
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 1e-4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        batch, height, width, channels = x.shape
        # No -1 in the shape: with an empty batch it would be ambiguous.
        qkv = self.qkv(self.norm(x)).view(
            batch, height * width, 3, self.heads, channels // self.heads
        )
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        attended = attended.transpose(1, 2).reshape(batch, height, width, channels)
        out: Tensor = x + self.scale * self.proj(attended)
        return out


class Downsample(nn.Module):
    """Norm, then a 2 x 2 convolution with stride 2.

    Args:
        channels: C of the input.
        out_channels: of the output.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.conv = nn.Conv2d(channels, out_channels, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), out); odd sizes are zero-padded."""
        height, width = x.shape[1:3]
        x = self.norm(x)
        if height % 2 or width % 2:
            x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        out: Tensor = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return out


class ConvNeXtV2Stage(nn.Module):
    """Downsampling and the blocks of one resolution.

    Args:
        downsample: before the blocks; None in the first stage.
        blocks: at least one.
        attention: at the end of the stage, or None.
        with_cp: use activation checkpointing in each block.
    """

    def __init__(
        self,
        downsample: Downsample | None,
        blocks: Sequence[ConvNeXtV2Block],
        attention: GlobalAttention | None = None,
        *,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.ModuleList(blocks)
        self.attention = attention
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) of the previous stage -> (B, H, W, C) of this one."""
        recompute = self.with_cp and self.training and torch.is_grad_enabled()
        if self.downsample is not None:
            x = self.downsample(x)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if recompute else block(x)
        return x if self.attention is None else self.attention(x)
