"""The parts of a ConvNeXt V2 stage: response normalisation, the block, attention, downsampling.

Legend: B images, H and W height and width of the map in cells, C channels. Maps are NHWC.
Source: arXiv 2301.00808, sections 3.2 and 3.3 (GRN), and 2201.03545 (the block).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from detkit.models.layers.deform_conv import DeformConv2d
from detkit.models.layers.drop_path import DropPath

NORM_EPS = 1e-6
KERNEL_SIZE = 7


class GlobalResponseNorm(nn.Module):
    """Weigh each channel by how strong it is in the whole map, next to the other channels.

    With g the L2 norm of a channel over H and W, and n = g / (mean of g over the channels):
    y = x + gamma * (x * n) + beta. Zero gamma and beta, as at the start, leave x as it is.

    Args:
        channels: C.

    Source: arXiv 2301.00808, algorithm 1. Agrees with timm's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def gain(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, C), float32 at the least: a factor on each image's channels."""
        # Squared and summed: torch's own norm is up to ten times slower over these axes on a CPU.
        # The root's slope at 0 is infinite, and a channel may well be 0 everywhere.
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        norm = x.square().sum((1, 2)).clamp(min=1e-24).sqrt()
        return 1 + self.gamma * (norm / (norm.mean(-1, keepdim=True) + NORM_EPS))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        return x * self.gain(x)[:, None, None].to(x.dtype) + self.beta.to(x.dtype)


class ConvNeXtV2Block(nn.Module):
    """Depthwise 7 x 7, norm, four times as many channels and back, added to what came in.

    Args:
        channels: C.
        drop_path: probability of leaving out the branch while training.
        deform: let the depthwise convolution choose where it looks (arXiv 1811.11168).
    """

    def __init__(self, channels: int, drop_path: float = 0.0, deform: bool = False) -> None:
        super().__init__()
        conv_class = DeformConv2d if deform else nn.Conv2d
        self.dwconv = conv_class(channels, channels, KERNEL_SIZE, padding=KERNEL_SIZE // 2,
                                 groups=channels)
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
        # The gain goes into the weights, which are fewer than the map's values, and the shift
        # into the bias: no pass over the map, no second map kept for the backward pass.
        weight = self.pwconv2.weight.t() * self.grn.gain(x)[:, :, None].to(x.dtype)
        bias = F.linear(self.grn.beta, self.pwconv2.weight, self.pwconv2.bias)
        out = torch.baddbmm(bias.to(x.dtype), x.flatten(1, 2), weight.to(x.dtype))
        return out.view(batch, height, width, self.pwconv2.out_features)


class GlobalAttention(nn.Module):
    """Every cell of the map looks at every other; added to what came in, little at first.

    For the coarse stages: time and memory grow with the square of the number of cells. There is
    no bias for positions, of which the depthwise convolutions before it tell.

    Args:
        channels: C, in heads of 64 where that divides it, else of 32 or 16, else in one.

    Source: arXiv 1706.03762; the small factor at the start, 2103.17239.
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
        # Each axis written out: with no image none can be told from the others.
        qkv = self.qkv(self.norm(x)).view(
            batch, height * width, 3, self.heads, channels // self.heads
        )
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        attended = attended.transpose(1, 2).reshape(batch, height, width, channels)
        out: Tensor = x + self.scale * self.proj(attended)
        return out


class Downsample(nn.Module):
    """Norm, then a convolution of stride 2 over each square of 2 x 2 cells.

    Args:
        channels: C of the map that comes in.
        out_channels: of the one that goes out.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.conv = nn.Conv2d(channels, out_channels, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), out); odd sizes get a row of zeros."""
        height, width = x.shape[1:3]
        x = self.norm(x)
        if height % 2 or width % 2:
            x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        out: Tensor = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return out


class ConvNeXtV2Stage(nn.Module):
    """What leads to one resolution, and the blocks of it.

    Args:
        downsample: from the stage before; None in the first.
        blocks: at least one.
        attention: at the end of the stage, or None.
        with_cp: recompute each block in the backward pass instead of keeping its activations.
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
        """(B, H, W, C) of the stage before -> (B, H, W, C) of this one."""
        recompute = self.with_cp and self.training and torch.is_grad_enabled()
        if self.downsample is not None:
            x = self.downsample(x)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if recompute else block(x)
        return x if self.attention is None else self.attention(x)
