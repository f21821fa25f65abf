"""Deformable convolutions as tracers and exporters can follow them.

mmcv's are autograd functions, which no exporter looks into; detkit's takes a quick way of its own
on the CPU, which engines do not know. torchvision's operator is known to all of them.
"""

from __future__ import annotations

from typing import Any

import torch
import torchvision  # noqa: F401  (registers its kernels with torch)
from torch import Tensor, nn

from detkit.models.layers.deform_conv import DeformConv2d

# Of mmcv: what takes its offsets along, and what makes them.
_CONVS = ("DeformConv2d", "ModulatedDeformConv2d")
_CONV_PACKS = ("DeformConv2dPack", "ModulatedDeformConv2dPack")


class ExportableDeformConv(nn.Module):
    """A deformable convolution of mmcv's by torchvision's operator; the weights are shared.

    Args:
        conv: mmcv's ``DeformConv2d``, ``ModulatedDeformConv2d`` or one of their packs.
    """

    def __init__(self, conv: Any) -> None:
        super().__init__()
        self.weight: nn.Parameter = conv.weight
        self.bias: nn.Parameter | None = getattr(conv, "bias", None)
        self.conv_offset: Any = getattr(conv, "conv_offset", None)
        self._modulated = type(conv).__name__.startswith("Modulated")
        self._window = [*_pair(conv.stride), *_pair(conv.padding), *_pair(conv.dilation)]
        self._groups = [int(conv.groups), int(conv.deform_groups)]

    def forward(
        self, x: Tensor, offset: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Convolve (B, C, H, W) at moved places, as the layer that it stands for does.

        Args:
            offset, mask: only where the layer does not make them by itself.
        """
        if self.conv_offset is not None:
            offset_and_mask = self.conv_offset(x)
            if self._modulated:
                third = offset_and_mask.shape[1] // 3
                offset, mask = offset_and_mask[:, :2 * third], offset_and_mask[:, 2 *
                                                                               third:].sigmoid()
            else:
                offset = offset_and_mask
        # torchvision's kernel for the CPU knows no 16 bits, which autocast may bring.
        x32 = x.float()
        out: Tensor = torch.ops.torchvision.deform_conv2d(
            x32, self.weight.float(), None if offset is None else offset.float(),
            x32.new_zeros((x.shape[0], 1)) if mask is None else mask.float(),
            x32.new_zeros(len(self.weight)) if self.bias is None else self.bias.float(),
            *self._window, *self._groups, mask is not None,
        )
        return out.to(x.dtype)


class ExportableDepthwise(nn.Module):
    """detkit's depthwise ``DeformConv2d``, quick in eager mode, by the operator when followed.

    Args:
        conv: the layer; shared.
    """

    def __init__(self, conv: DeformConv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """What the layer gives of (B, C, H, W)."""
        jit: Any = torch.jit
        if not (jit.is_tracing() or torch.compiler.is_exporting()):
            out: Tensor = self.conv(x)
            return out
        self.conv.depthwise = False
        try:
            make_exportable: Tensor = self.conv(x)
        finally:
            self.conv.depthwise = True
        return make_exportable


def make_exportable(module: nn.Module) -> nn.Module:
    """``module`` with its deformable convolutions replaced, in place and at any depth."""
    for name, child in module.named_children():
        setattr(module, name, make_exportable(child))
    module_type = type(module)
    if isinstance(module, DeformConv2d):
        return ExportableDepthwise(module) if module.depthwise else module
    if module_type.__module__.startswith(
            "mmcv.ops") and module_type.__name__ in _CONVS + _CONV_PACKS:
        return ExportableDeformConv(module)
    return module


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))
