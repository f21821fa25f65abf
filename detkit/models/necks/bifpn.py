"""BiFPN: a feature pyramid with repeated top-down and bottom-up fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.models.layers.norm import build_norm
from detkit.models.necks.bifpn_layer import BiFPNLayer, downsample
from detkit.models.validation import check_count, check_counts
from detkit.registry import MODELS

# The paper's: running statistics over about 100 steps, which need several images a step.
DEFAULT_NORM_CFG: Mapping[str, Any] = {"type": "BN", "eps": 1e-3, "momentum": 0.01}


@MODELS.register_module()
class BiFPN(BaseModule):  # type: ignore[misc]  # mmengine has no types
    """Weighted bidirectional feature pyramid for any detector.

    The first layer projects each map of the backbone by a 1 x 1 convolution for each of its uses,
    as in the authors' code: one for the finest map, two for the others. A map with
    ``out_channels`` channels is not projected. Extra levels are made from the coarsest map by a
    1 x 1 convolution with norm, then 3 x 3 max pooling with stride 2, centered on every second
    pixel from the first (the TensorFlow original is shifted by one for even sizes).

    For RetinaNet use strides 8 to 128 (three maps of the backbone, ``num_outs=5``), for Faster and
    Cascade R-CNN 4 to 64 (four maps, ``num_outs=5``).

    Args:
        in_channels: channels of each map of the backbone, finest first.
        out_channels: channels of every output.
        num_layers: number of BiFPN layers; the paper's D0 to D7 have 3 to 8.
        num_outs: number of levels, at least the number of used maps, and at least 2.
        start_level: index of the first map that is used.
        norm_cfg: of every convolution; None means the paper's batch norm, which needs about eight
            images on each device. For fewer: ``dict(type='SyncBN')`` on several devices, or
            ``dict(type='GN', num_groups=16)``.
        init_cfg: mmengine's, such as a checkpoint to load.

    Raises:
        ConfigError: invalid or contradicting numbers.

    Source: arXiv 1911.09070. D0 has as many parameters as in the public PyTorch port of the
    authors' code.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 64,
        num_layers: int = 3,
        num_outs: int = 5,
        start_level: int = 0,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_counts("BiFPN", "in_channels", in_channels, "map")
        check_count("BiFPN", "start_level", start_level, 0, len(in_channels) - 1)
        used_channels = list(in_channels[start_level:])
        check_count("BiFPN", "out_channels", out_channels)
        check_count("BiFPN", "num_layers", num_layers)
        check_count("BiFPN", "num_outs", num_outs, max(2, len(used_channels)))
        self.in_channels = list(in_channels)
        self.start_level = start_level
        self.num_outs = num_outs
        self._norm_cfg = DEFAULT_NORM_CFG if norm_cfg is None else norm_cfg

        self.project_down = nn.ModuleList(self._projection(c, out_channels) for c in used_channels)
        self.project_up = nn.ModuleList(
            self._projection(c, out_channels) for c in used_channels[1:])
        self.project_extra: nn.Module | None = None
        if num_outs > len(used_channels):
            self.project_extra = self._projection(used_channels[-1], out_channels)
        self.layers = nn.ModuleList(
            BiFPNLayer(num_outs, out_channels, self._norm) for _ in range(num_layers)
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the feature pyramid.

        Args:
            inputs: one map (B, in_channels, H, W) for each of ``in_channels``, each half the size
                of the previous one, rounded up or down. B may be 0 in eval mode; in training
                batch norm needs more than one value for each channel.

        Returns:
            ``num_outs`` maps (B, out_channels, H, W): the sizes of the used maps, then for each
            extra level half the previous size, rounded up.

        Raises:
            ConfigError: the number of maps is not that of ``in_channels``.
        """
        if len(inputs) != len(self.in_channels):
            raise ConfigError("BiFPN: feature maps of the backbone", got=len(inputs),
                              expected=f"{len(self.in_channels)}, the length of in_channels")
        maps = inputs[self.start_level :]
        top_down_inputs = [project(x) for project, x in zip(self.project_down, maps)]
        bottom_up_inputs = top_down_inputs[:1] + [
            project(x) for project, x in zip(self.project_up, maps[1:])
        ]
        if self.project_extra is not None:
            extra = downsample(self.project_extra(maps[-1]))
            for level in range(len(maps), self.num_outs):
                extra = extra if level == len(maps) else downsample(extra)
                top_down_inputs.append(extra)
                bottom_up_inputs.append(extra)
        for layer in self.layers:
            top_down_inputs = bottom_up_inputs = layer(top_down_inputs, bottom_up_inputs)
        return tuple(top_down_inputs)

    def _projection(self, channels: int, out_channels: int) -> nn.Module:
        if channels == out_channels:
            return nn.Identity()
        conv = nn.Conv2d(channels, out_channels, 1, bias=False)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
        return nn.Sequential(conv, self._norm(out_channels))

    def _norm(self, channels: int) -> nn.Module:
        return build_norm("BiFPN", self._norm_cfg, channels)
