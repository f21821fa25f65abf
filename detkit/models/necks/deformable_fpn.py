"""FPN whose output convolutions are deformable, for every backbone."""

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
    """mmdet's FPN with a deformable 3 x 3 convolution behind each lateral sum.

    Offsets begin at zero, where it equals the FPN of the same weights. An FPN's state dict fits:
    its names are the same, and only ``conv_offset`` is missing. The convolutions of extra levels
    (``add_extra_convs``) stay plain, as the lateral ones do. That offsets learn more slowly is set
    in the optimiser; see ``DeformConv2d``.

    Args:
        modulated: whether each tap has a mask (version 2) or not (version 1).
        deform_groups: parts of the channels, each with offsets of its own.
        in_channels, out_channels, num_outs, start_level, end_level, add_extra_convs and all others:
            FPN's.

    Raises:
        ConfigError: channels or levels that cannot be, ``conv_cfg`` asks for convolutions that
            are not plain ones, or ``deform_groups`` does not divide ``out_channels``.

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
        # Behind these stand the extra levels' convolutions.
        for module in self.fpn_convs[: len(self.lateral_convs)]:
            conv = module.conv
            if type(conv) is not nn.Conv2d:
                raise ConfigError(f"{_NAME}: conv_cfg", got=type(conv).__name__,
                                  expected="none, for the convolutions become deformable ones")
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
        """Set the weights as FPN does, and the offsets to zero; then a file in ``init_cfg``.

        Raises: what mmengine raises where the file cannot be read.
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
    """Raise ConfigError for what FPN asserts without a word."""
    check_counts(_NAME, "in_channels", in_channels, "map")
    num_inputs = len(in_channels)
    check_count(_NAME, "start_level", start_level, 0, num_inputs - 1)
    if end_level != -1:
        check_count(_NAME, "end_level", end_level, start_level, num_inputs - 1)
    uses_last_level = end_level in (-1, num_inputs - 1)
    num_used = (num_inputs if uses_last_level else end_level + 1) - start_level
    # Extra levels come behind the last map alone.
    check_count(_NAME, "num_outs", num_outs, num_used, None if uses_last_level else num_used)
