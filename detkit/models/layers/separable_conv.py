"""A convolution in two: each channel by itself, then all channels at each pixel."""

from __future__ import annotations

from torch import nn


class SeparableConv2d(nn.Sequential):
    """3 x 3 depthwise, then 1 x 1 across channels; stride 1, size kept.

    Args:
        in_channels, out_channels: as ``nn.Conv2d``'s.
        bias: whether the second has a bias, zero at first.

    Both begin with a variance of 1 / (inputs of one output), so that neither changes the scale.
    Takes (B, in_channels, H, W), gives (B, out_channels, H, W); B may be 0.

    Source: arXiv 1911.09070, section 3.3, and the first values of its authors' code.
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
