"""FPN with levels finer than the backbone's, for backbones that begin at stride 8 or 16."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmdet.models.necks import FPN
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.models.necks.simple_feature_pyramid import ChannelNorm
from detkit.models.validation import check_count, check_counts
from detkit.registry import MODELS

_NAME = "FinerFPN"


@MODELS.register_module()
class FinerFPN(FPN):  # type: ignore[misc]  # mmdet has no types
    """mmdet's FPN, and finer levels by transposed convolutions of its finest output.

    Each step doubles the size: a transposed convolution of kernel and stride 2, norm and GELU; a
    3 x 3 convolution gives the output. From maps with strides 16, 32 and 64, two finer levels make
    strides 4 to 64, which heads with small anchors and RoIs expect.

    Args:
        in_channels: of each map of the backbone.
        out_channels: of every level.
        num_outs: number of levels: the finer, the backbone's, and extra ones after the last.
        num_finer: number of finer levels.
        kwargs: other arguments of FPN, but for start_level and end_level.

    Raises:
        ConfigError: invalid channels or numbers of levels.

    Source: FPN, arXiv 1612.03144. The detectors of EfficientViT (arXiv 2305.07027; microsoft/Cream)
    add transposed convolutions to an FPN for the same reason; the steps here are ViTDet's
    (arXiv 2203.16527, section 3).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        num_finer: int = 1,
        **kwargs: Any,
    ) -> None:
        check_counts(_NAME, "in_channels", in_channels, "map")
        check_count(_NAME, "out_channels", out_channels)
        check_count(_NAME, "num_finer", num_finer)
        check_count(_NAME, "num_outs", num_outs, num_finer + len(in_channels))
        for key in ("start_level", "end_level"):
            if key in kwargs:
                raise ConfigError(f"{_NAME}: {key}", got=repr(kwargs[key]),
                                  expected="no such argument: all maps are used",
                                  hint="select the backbone's levels")
        super().__init__(in_channels=list(in_channels), out_channels=out_channels,
                         num_outs=num_outs - num_finer, **kwargs)
        self.upsample = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(out_channels, out_channels, 2, stride=2),
                          ChannelNorm(out_channels), nn.GELU())
            for _ in range(num_finer))
        self.finer_convs = nn.ModuleList(
            nn.Conv2d(out_channels, out_channels, 3, padding=1) for _ in range(num_finer))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the feature pyramid.

        Args:
            inputs: (B, channels, h, w) of each level, the finest first.

        Returns:
            ``num_outs`` maps (B, out_channels, h, w), the finest first; each finer one has exactly
            twice the size of the next.
        """
        outputs = list(super().forward(inputs))
        finer = outputs[0]
        for upsample, conv in zip(self.upsample, self.finer_convs):
            finer = upsample(finer)
            outputs.insert(0, conv(finer))
        return tuple(outputs)
