"""One BiFPN layer: a top-down and a bottom-up pass with learned fusion weights.

L: levels, finest first; C: channels, the same at all levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

from detkit.models.layers.separable_conv import SeparableConv2d

NormBuilder = Callable[[int], nn.Module]
# Avoids division by zero where all weights are zero; the paper's value.
EPS = 1e-4


class FusionNode(nn.Module):
    """Weighted sum of maps of one size, then SiLU, a separable convolution, and a norm.

    Args:
        inputs: number of maps, each with an entry in ``weight``, initialized to 1.
        channels: C.
        norm: builds a norm for a number of channels.

    Source: arXiv 1911.09070, section 3.3, fast normalized fusion.
    """

    def __init__(self, inputs: int, channels: int, norm: NormBuilder) -> None:
        super().__init__()
        self.weight = Parameter(torch.ones(inputs))
        self.act = nn.SiLU()
        self.conv = SeparableConv2d(channels, channels)
        self.norm = norm(channels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """``inputs`` maps (B, C, H, W) -> (B, C, H, W)."""
        out: Tensor = self.norm(self.conv(self.act(weighted_fusion(maps, self.weight))))
        return out


class BiFPNLayer(nn.Module):
    """Fuse features top-down, from coarse to fine, then bottom-up.

    Args:
        levels: number of levels, at least 2.
        channels: C.
        norm: builds a norm for a number of channels.

    Source: arXiv 1911.09070, figure 2d and the equations of section 3.3.
    """

    def __init__(self, levels: int, channels: int, norm: NormBuilder) -> None:
        super().__init__()
        self.down = nn.ModuleList(FusionNode(2, channels, norm) for _ in range(levels - 1))
        self.up = nn.ModuleList(
            FusionNode(2 if level == levels - 1 else 3, channels, norm)
            for level in range(1, levels)
        )

    def forward(self, top_down_inputs: Sequence[Tensor],
                bottom_up_inputs: Sequence[Tensor]) -> list[Tensor]:
        """Fuse all levels.

        Args:
            top_down_inputs: L maps (B, C, H, W), finest first, for the top-down pass.
            bottom_up_inputs: L maps of the same sizes, for the bottom-up pass; the first is not
                used. The same maps as ``top_down_inputs`` in all layers but the first.

        Returns:
            L maps of those sizes.
        """
        top_down = list(top_down_inputs)
        for level in reversed(range(len(self.down))):
            size = top_down_inputs[level].shape[2:]
            coarser = F.interpolate(top_down[level + 1], size=size, mode="nearest")
            top_down[level] = self.down[level]([top_down_inputs[level], coarser])
        outputs = top_down[:1]
        for level, node in enumerate(self.up, start=1):
            finer = downsample(outputs[-1], bottom_up_inputs[level])
            # The coarsest level has no top-down node.
            intermediate = [top_down[level]] if level < len(self.up) else []
            outputs.append(node([bottom_up_inputs[level], *intermediate, finer]))
        return outputs


def weighted_fusion(maps: Sequence[Tensor], weight: Tensor) -> Tensor:
    """Weighted sum of maps, with weights relu(w) / (sum(relu(w)) + eps).

    Args:
        maps: N maps of one shape, floating point.
        weight: (N,).

    Returns:
        a map of the same shape and dtype.
    """
    relu_weight = weight.relu()
    normalized_weights = relu_weight / (relu_weight.sum() + EPS)
    out = maps[0] * normalized_weights[0]
    for index, feature in enumerate(maps[1:], start=1):
        out = out + feature * normalized_weights[index]
    return out


def downsample(x: Tensor, like: Tensor | None = None) -> Tensor:
    """Max pooling, 3 x 3 with stride 2, centered on every second pixel.

    Args:
        x: (B, C, H, W).
        like: a map of the output size. Where the backbone rounds its sizes down, it is smaller
            than the pooled map, which is then resized by nearest neighbor.

    Returns:
        (B, C, ceil(H / 2), ceil(W / 2)), or of the size of ``like``.
    """
    out = F.max_pool2d(x, 3, stride=2, padding=1)
    if like is not None and out.shape[2:] != like.shape[2:]:
        out = F.interpolate(out, size=like.shape[2:], mode="nearest")
    return out
