"""Levels for a backbone that has one map alone: the simple feature pyramid of ViTDet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.registry import MODELS

NORM_EPS = 1e-6


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each cell of a map (B, C, H, W).

    Args:
        channels: of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map, of the same shape."""
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.weight.shape, self.weight, self.bias, NORM_EPS)
        return x.permute(0, 3, 1, 2)


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):  # type: ignore[misc]
    """Levels made from one map by deconvolution and pooling, each on its own.

    A level of scale 2^n is n deconvolutions of side and stride 2, each halving the channels, with
    norm and GELU between; of scale 1 / 2^n max pooling by 2^n; then a 1 x 1 and a 3 x 3
    convolution with a norm each. Of a map with stride 16, the default scales make strides 4, 8,
    16 and 32, and the extra level 64.

    Args:
        in_channels: of the map; a number, or a list of one, as a backbone publishes it.
        out_channels: of every level.
        scale_factors: of each level, relative to the map: powers of two, falling.
        num_outs: levels in all; those behind ``scale_factors`` take every second cell of the one
            before.
        init_cfg: mmengine's; by default convolutions begin as FPN's do.

    Raises:
        ConfigError: several maps, a scale that is no power of two, or too few levels or channels.

    Source: ViTDet, arXiv 2203.16527, section 3.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int = 256,
        scale_factors: Sequence[float] = (4.0, 2.0, 1.0, 0.5),
        num_outs: int = 5,
        init_cfg: Any = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = dict(type="Xavier", layer="Conv2d", distribution="uniform")
        super().__init__(init_cfg)
        channels = [in_channels] if isinstance(in_channels, int) else list(in_channels)
        if len(channels) != 1:
            raise ConfigError("SimpleFeaturePyramid: in_channels", got=channels,
                              expected="one number: the neck reads one map",
                              do="use FPN, or give the backbone one level alone")
        scales = tuple(float(scale) for scale in scale_factors)
        if (not scales or list(scales) != sorted(set(scales), reverse=True)
                or any(scale <= 0 or not math.log2(scale).is_integer() for scale in scales)):
            raise ConfigError("SimpleFeaturePyramid: scale_factors", got=scale_factors,
                              expected="falling powers of two, such as (4.0, 2.0, 1.0, 0.5)")
        if num_outs < len(scales):
            raise ConfigError("SimpleFeaturePyramid: num_outs", got=num_outs,
                              expected=f"at least {len(scales)}, one for each scale")
        if channels[0] % max(1, scales[0]):
            raise ConfigError(
                "SimpleFeaturePyramid: in_channels", got=channels[0],
                expected=f"a multiple of {int(scales[0])}: each doubling halves the channels",
            )
        self.scale_factors, self.num_outs = scales, num_outs
        self.levels = nn.ModuleList(_level(channels[0], out_channels, scale) for scale in scales)

    def forward(self, inputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Make the levels.

        Args:
            inputs: one map (B, in_channels, H, W), or a sequence of that one.

        Returns:
            ``num_outs`` maps (B, out_channels, h, w): h is ceil(H x scale) for each scale, so for
            scales above 1 exactly as many cells as the patches make room for, even where the
            image ends inside its last patch; then halved and rounded up for each extra level.
        """
        x = inputs if isinstance(inputs, Tensor) else inputs[0]
        outputs = [level(x) for level in self.levels]
        while len(outputs) < self.num_outs:
            outputs.append(F.max_pool2d(outputs[-1], 1, stride=2))
        return tuple(outputs)


def _level(channels: int, out_channels: int, scale: float) -> nn.Sequential:
    parts: list[nn.Module] = []
    steps = round(math.log2(scale))
    for step in range(steps):
        parts.append(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
        channels //= 2
        if step < steps - 1:
            parts += [ChannelNorm(channels), nn.GELU()]
    if steps < 0:
        parts.append(nn.MaxPool2d(2**-steps, ceil_mode=True))
    parts += [
        nn.Conv2d(channels, out_channels, 1, bias=False),
        ChannelNorm(out_channels),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        ChannelNorm(out_channels),
    ]
    return nn.Sequential(*parts)
