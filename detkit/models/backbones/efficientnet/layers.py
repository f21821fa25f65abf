"""EfficientNet's blocks MBConv and FusedMBConv, and squeeze and excitation.

Legend: B images, C channels, H and W height and width of the map in pixels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from detkit.models.backbones.efficientnet.conv import ConvNorm, ConvStyle
from detkit.models.layers.drop_path import DropPath


class SqueezeExcite(nn.Module):
    """Channel attention: factors on the channels of each image, from their means over the map.

    Args:
        channels: C.
        squeeze_channels: channels between the two layers.
        style: for the activation between them.

    Source: arXiv 1709.01507.
    """

    def __init__(self, channels: int, squeeze_channels: int, style: ConvStyle) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeeze_channels, 1)
        self.expand = nn.Conv2d(squeeze_channels, channels, 1)
        self.style = style

    def reset_parameters(self) -> None:
        """Initialize weights: normal, variance 2 / fan-out; biases zero."""
        for conv in (self.reduce, self.expand):
            nn.init.normal_(conv.weight, std=(2 / conv.out_channels) ** 0.5)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C), each in (0, 1)."""
        # On pooled features 1 x 1 convolutions are linear layers, which are cheaper to call.
        pooled = F.linear(x.mean((2, 3)), self.reduce.weight.flatten(1), self.reduce.bias)
        pooled = F.linear(self.style.activate(pooled), self.expand.weight.flatten(1),
                          self.expand.bias)
        return pooled.sigmoid()


class MBConv(nn.Module):
    """Inverted residual: expansion, depthwise convolution, squeeze and excitation, projection.

    Args:
        in_channels, out_channels: C of the input and the output.
        mid_channels: inner channels; equal to ``in_channels`` for no expansion.
        kernel, stride: of the depthwise convolution.
        squeeze_channels: channels of squeeze and excitation; 0 for none.
        style: of all convolutions.
        drop_path: probability of dropping the residual branch during training.
        deform: whether the depthwise convolution is deformable.

    Source: arXiv 1801.04381, arXiv 1905.11946.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int,
        kernel: int,
        stride: int,
        squeeze_channels: int,
        style: ConvStyle,
        drop_path: float = 0.0,
        deform: bool = False,
    ) -> None:
        super().__init__()
        has_expansion = mid_channels != in_channels
        self.expand = ConvNorm(in_channels, mid_channels, 1, 1, style) if has_expansion else None
        self.depthwise = ConvNorm(mid_channels, mid_channels, kernel, stride, style,
                                  groups=mid_channels, deform=deform)
        self.se = SqueezeExcite(mid_channels, squeeze_channels, style) if squeeze_channels else None
        self.project = ConvNorm(mid_channels, out_channels, 1, 1, style, activate=False)
        self.residual = stride == 1 and in_channels == out_channels
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        out = x if self.expand is None else self.expand(x)
        out = self.depthwise(out)
        out = self.project(out, None if self.se is None else self.se(out))
        return _add_residual(x, self.drop_path(out)) if self.residual else out


class FusedMBConv(nn.Module):
    """Inverted residual with a dense convolution for expansion, then a projection.

    Args:
        in_channels, out_channels: C of the input and the output.
        mid_channels: inner channels; equal to ``in_channels`` for a block of the first
            convolution only.
        kernel, stride: of the first convolution.
        style: of all convolutions.
        drop_path: probability of dropping the residual branch during training.

    Source: arXiv 2104.00298.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int,
        kernel: int,
        stride: int,
        style: ConvStyle,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        has_expansion = mid_channels != in_channels
        self.fused = ConvNorm(in_channels, mid_channels if has_expansion else out_channels, kernel,
                              stride, style)
        self.project: ConvNorm | None = None
        if has_expansion:
            self.project = ConvNorm(mid_channels, out_channels, 1, 1, style, activate=False)
        self.residual = stride == 1 and in_channels == out_channels
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        out = self.fused(x)
        if self.project is not None:
            out = self.project(out)
        return _add_residual(x, self.drop_path(out)) if self.residual else out


def _add_residual(x: Tensor, branch: Tensor) -> Tensor:
    """x + branch, in place in ``branch`` where autograd does not need it."""
    return x + branch if branch.requires_grad else branch.add_(x)
