"""Depthwise separable convolution."""

from __future__ import annotations

from torch import nn


class SeparableConv2d(nn.Sequential):
    """3 x 3 depthwise, then 1 x 1 pointwise convolution; stride 1, size kept.

    Args:
        in_channels, out_channels: as ``nn.Conv2d``'s.
        bias: whether the pointwise convolution has a bias, initialized to zero.

    Weights are initialized with variance 1 / fan-in, which keeps the scale of the features.
    (B, in_channels, H, W) -> (B, out_channels, H, W); B may be 0.

    Source: arXiv 1911.09070, section 3.3, and the initialization in the authors' code.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False) -> None:
        depthwise = nn.Conv2d(
            in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False
        )
        pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=bias)
        super().__init__(depthwise, pointwise)
        for conv in (depthwise, pointwise):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
        if pointwise.bias is not None:
            nn.init.zeros_(pointwise.bias)
