"""Layers of Swin: the block, patch merging and the stage. Maps are NHWC.

Legend: B images, H and W height and width of the map in tokens, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from detkit.models.backbones.swin.window_attention import WindowAttention, window_mask
from detkit.models.layers.drop_path import DropPath

NORM_EPS = 1e-5


class Mlp(nn.Module):
    """Two linear layers with GELU between, applied to each token."""

    def __init__(self, channels: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        x = self.dropout(F.gelu(self.fc1(x)))
        out: Tensor = self.dropout(self.fc2(x))
        return out


class SwinBlock(nn.Module):
    """Window attention, then an MLP, each with pre-norm and a residual connection.

    Args:
        channels: C.
        attention: for C channels; its shift is the block's.
        mlp_ratio: hidden channels of the MLP, relative to C.
        dropout: of the MLP.
        drop_path: probability of dropping a residual branch during training.
        local_conv: first add a depthwise 3 x 3 convolution of the map to it (arXiv 2107.06263),
            which gives tokens information about their neighbors.
    """

    def __init__(
        self,
        channels: int,
        attention: WindowAttention,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        local_conv: bool = False,
    ) -> None:
        super().__init__()
        self.local: nn.Module | None = None
        if local_conv:
            self.local = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels, eps=NORM_EPS)
        self.attn = attention
        self.norm2 = nn.LayerNorm(channels, eps=NORM_EPS)
        self.mlp = Mlp(channels, int(channels * mlp_ratio), dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, H, W, C), mask as ``WindowAttention`` takes it -> (B, H, W, C)."""
        if self.local is not None:
            x = x + self.local(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = x + self.drop_path(self.attn(self.norm1(x), mask))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class PatchMerging(nn.Module):
    """Merge each 2 x 2 tokens into one token with twice the channels: stride 2.

    The four are concatenated in the order (0, 0), (1, 0), (0, 1), (1, 1) of (row, column), which
    is microsoft's, timm's and torchvision's.
    """

    def __init__(self, channels: int, norm: bool = True) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels, eps=NORM_EPS) if norm else nn.Identity()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), 2C); odd sizes are zero-padded."""
        batch, height, width, channels = x.shape
        if height % 2 or width % 2:
            x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        x = x.view(batch, (height + 1) // 2, 2, (width + 1) // 2, 2, channels)
        x = x.permute(0, 1, 3, 4, 2, 5).flatten(3)
        out: Tensor = self.reduction(self.norm(x))
        return out


class SwinStage(nn.Module):
    """Blocks at one resolution, every second one with shifted windows.

    Args:
        blocks: at least one, all with the same window size.
        downsample: the patch merging before the next stage; None for the last stage.
        mask_padding: mask attention between tokens and the padding of the windows.
        with_cp: use activation checkpointing in each block.
    """

    def __init__(
        self,
        blocks: Sequence[SwinBlock],
        downsample: PatchMerging | None,
        *,
        mask_padding: bool = False,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample
        self.window_size = blocks[0].attn.window_size
        self.shifts = [block.attn.shift for block in blocks]
        self.mask_padding = mask_padding
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, C) -> this stage's map (B, H, W, C), and the input of the next stage."""
        recompute = self.with_cp and self.training and torch.is_grad_enabled()
        masks: dict[int, Tensor | None] = {}
        for shift, block in zip(self.shifts, self.blocks):
            if shift not in masks:
                masks[shift] = window_mask(
                    x.shape[1],
                    x.shape[2],
                    self.window_size,
                    shift,
                    mask_padding=self.mask_padding,
                    device=x.device,
                )
            if recompute:
                x = checkpoint(block, x, masks[shift], use_reentrant=False)
            else:
                x = block(x, masks[shift])
        return x, x if self.downsample is None else self.downsample(x)
