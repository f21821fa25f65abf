"""FPN whose output convolutions are deformable, for every backbone."""

from __future__ import annotations

from typing import Any

from mmdet.models.necks import FPN
from torch import nn

from detkit.errors import ConfigError
from detkit.models.deform_conv import DeformConv2d
from detkit.registry import MODELS


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
        in_channels, out_channels, num_outs and all others: FPN's.

    Raises:
        ConfigError: ``conv_cfg`` asks for convolutions that are not plain ones, or
            ``deform_groups`` does not divide ``out_channels``.

    Source: arXiv 1612.03144, 1811.11168.
    """

    def __init__(self, modulated: bool = True, deform_groups: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Behind these stand the extra levels' convolutions.
        for module in self.fpn_convs[: len(self.lateral_convs)]:
            plain = module.conv
            if type(plain) is not nn.Conv2d:
                raise ConfigError("DeformableFPN: conv_cfg", got=type(plain).__name__,
                                  expected="none, for the convolutions become deformable ones")
            module.conv = DeformConv2d(
                plain.in_channels,
                plain.out_channels,
                (3, 3),
                padding=1,
                bias=plain.bias is not None,
                modulated=modulated,
                deform_groups=deform_groups,
            )

    def init_weights(self) -> None:
        """Set the weights as FPN does, and the offsets to zero; then a file in ``init_cfg``.

        Raises: what mmengine raises where the file cannot be read.
        """
        configs = self.init_cfg if isinstance(self.init_cfg, list) else [self.init_cfg]
        loaded = any(config and config["type"] == "Pretrained" for config in configs)
        again = self.is_init
        super().init_weights()
        if loaded or again:
            return
        for module in self.modules():
            if isinstance(module, DeformConv2d):
                module.reset_offsets()
