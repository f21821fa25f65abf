"""FPN with deformable output convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmdet.models.necks import FPN
from torch import nn

from detkit.errors import ConfigError
from detkit.models.layers.deform_conv import DeformConv2d, add_zero_init_offsets
from detkit.models.validation import check_count, check_counts
from detkit.registry import MODELS

_NAME = "DeformableFPN"


@MODELS.register_module()
class DeformableFPN(FPN):  # type: ignore[misc]  # mmdet has no types
    """mmdet's FPN with a deformable 3 x 3 convolution after each lateral sum.

    Offsets are initialized to zero, where it equals the FPN with the same weights. The state dict
    of an FPN has the same names; only ``conv_offset`` is missing. The lateral convolutions and
    those of extra levels (``add_extra_convs``) are plain. For the learning rate of offsets see
    ``DeformConv2d``.

    Args:
        modulated: whether each tap has a mask (version 2).
        deform_groups: groups of channels, each with its own offsets.
        in_channels, out_channels, num_outs, start_level, end_level, add_extra_convs and all others:
            as for FPN.

    Raises:
        ConfigError: invalid channels or levels, a ``conv_cfg`` of other than plain convolutions, or
            ``deform_groups`` that do not divide ``out_channels``.

    Source: arXiv 1612.03144, 1811.11168.
    """

    init_cfg: Any

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        start_level: int = 0,
        end_level: int = -1,
        add_extra_convs: bool | str = False,
        modulated: bool = True,
        deform_groups: int = 1,
        **kwargs: Any,
    ) -> None:
        _check_levels(in_channels, num_outs, start_level, end_level)
        check_count(_NAME, "out_channels", out_channels)
        if add_extra_convs not in (False, True, "on_input", "on_lateral", "on_output"):
            raise ConfigError(f"{_NAME}: add_extra_convs", got=repr(add_extra_convs),
                              expected="a bool, 'on_input', 'on_lateral' or 'on_output'")
        super().__init__(
            in_channels=list(in_channels),
            out_channels=out_channels,
            num_outs=num_outs,
            start_level=start_level,
            end_level=end_level,
            add_extra_convs=add_extra_convs,
            **kwargs,
        )
        # The convolutions of extra levels follow in the list and stay plain.
        for module in self.fpn_convs[: len(self.lateral_convs)]:
            conv = module.conv
            if type(conv) is not nn.Conv2d:
                raise ConfigError(f"{_NAME}: conv_cfg", got=type(conv).__name__,
                                  expected="plain convolutions, which become deformable")
            module.conv = DeformConv2d(
                conv.in_channels,
                conv.out_channels,
                (3, 3),
                padding=1,
                bias=conv.bias is not None,
                modulated=modulated,
                deform_groups=deform_groups,
            )

    def init_weights(self) -> None:
        """Initialize as FPN does, with zero offsets; then load a checkpoint in ``init_cfg``.

        Raises: what mmengine raises where the checkpoint cannot be read.
        """
        init_cfg = self.init_cfg
        self.init_cfg = add_zero_init_offsets(init_cfg)
        try:
            super().init_weights()
        finally:
            self.init_cfg = init_cfg


def _check_levels(
    in_channels: Sequence[int], num_outs: int, start_level: int, end_level: int
) -> None:
    """Raise ConfigError where FPN has an assertion without a message."""
    check_counts(_NAME, "in_channels", in_channels, "map")
    num_inputs = len(in_channels)
    check_count(_NAME, "start_level", start_level, 0, num_inputs - 1)
    if end_level != -1:
        check_count(_NAME, "end_level", end_level, start_level, num_inputs - 1)
    uses_last_level = end_level in (-1, num_inputs - 1)
    num_used = (num_inputs if uses_last_level else end_level + 1) - start_level
    # Extra levels are possible only after the last map.
    check_count(_NAME, "num_outs", num_outs, num_used, None if uses_last_level else num_used)
