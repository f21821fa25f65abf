"""The simple feature pyramid of ViTDet, for backbones with a single feature map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.models.validation import check_count, is_number
from detkit.registry import MODELS

_NAME = "SimpleFeaturePyramid"
NORM_EPS = 1e-6


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels at each position of a map (B, C, H, W).

    A subclass of ``nn.LayerNorm``, so that mmengine's ``norm_decay_mult`` applies to it.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized map, of the same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):  # type: ignore[misc]
    """Build each level from one map by transposed convolutions or max pooling.

    Scale 2^n has n transposed convolutions of kernel and stride 2, each halving the channels, with
    norm and GELU between; scale 1 / 2^n has max pooling by 2^n. A 1 x 1 and a 3 x 3 convolution
    follow, each with a norm. From a map with stride 16, the default scales give strides 4, 8, 16
    and 32, and the extra level 64.

    Args:
        in_channels: channels of the map; a number, or a list of one, as in ``feature_channels``.
        out_channels: channels of every level.
        scale_factors: of each level relative to the map: descending powers of two.
        num_outs: number of levels; each extra level subsamples the previous one by 2.
        init_cfg: mmengine's; None initializes convolutions as in FPN.

    Raises:
        ConfigError: several maps, a scale that is not a power of two, or invalid levels or
            channels.

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
        channels: list[Any] = (
            list(in_channels) if isinstance(in_channels, (list, tuple)) else [in_channels]
        )
        if len(channels) != 1:
            raise ConfigError(f"{_NAME}: in_channels", got=channels,
                              expected="one number: the neck takes one map",
                              hint="use FPN, or configure the backbone for one level")
        check_count(_NAME, "in_channels", channels[0])
        check_count(_NAME, "out_channels", out_channels)
        scales = _validate_scales(scale_factors)
        check_count(_NAME, "num_outs", num_outs, len(scales))
        if channels[0] % max(1, scales[0]):
            raise ConfigError(
                f"{_NAME}: in_channels", got=channels[0],
                expected=f"a multiple of {int(scales[0])}: each doubling halves the channels",
            )
        self.scale_factors, self.num_outs = scales, num_outs
        self.levels = nn.ModuleList(
            _build_level(channels[0], out_channels, scale) for scale in scales)

    def forward(self, inputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the feature pyramid.

        Args:
            inputs: one map (B, in_channels, H, W), or a sequence of that one.

        Returns:
            ``num_outs`` maps (B, out_channels, h, w): h is ceil(H x scale) for each scale, so that
            for scales above 1 partial patches at the border count as whole ones; then half the
            previous size, rounded up, for each extra level.

        Raises:
            ConfigError: not exactly one map.
        """
        if not isinstance(inputs, Tensor) and len(inputs) != 1:
            raise ConfigError(f"{_NAME}: feature maps of the backbone", got=len(inputs),
                              expected="one",
                              hint="use FPN, or configure the backbone for one level")
        x = inputs if isinstance(inputs, Tensor) else inputs[0]
        outputs = [level(x) for level in self.levels]
        while len(outputs) < self.num_outs:
            outputs.append(F.max_pool2d(outputs[-1], 1, stride=2))
        return tuple(outputs)


def _validate_scales(scale_factors: object) -> tuple[float, ...]:
    scales = list(scale_factors) if isinstance(scale_factors, (list, tuple)) else []
    valid = bool(scales) and all(
        is_number(scale) and scale > 0 and math.log2(scale).is_integer() for scale in scales
    )
    if not valid or scales != sorted(set(scales), reverse=True):
        raise ConfigError(f"{_NAME}: scale_factors", got=repr(scale_factors),
                          expected="descending powers of two, such as (4.0, 2.0, 1.0, 0.5)")
    return tuple(float(scale) for scale in scales)


def _build_level(channels: int, out_channels: int, scale: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    steps = round(math.log2(scale))
    for step in range(steps):
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
        channels //= 2
        if step < steps - 1:
            layers += [ChannelNorm(channels), nn.GELU()]
    if steps < 0:
        layers.append(nn.MaxPool2d(2**-steps, ceil_mode=True))
    layers += [
        nn.Conv2d(channels, out_channels, 1, bias=False),
        ChannelNorm(out_channels),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        ChannelNorm(out_channels),
    ]
    return nn.Sequential(*layers)
