"""Deformable convolutions that tracers and exporters support.

mmcv's are autograd functions, which exporters cannot trace, and detkit's has a fast kernel for the
CPU, which engines do not have. Exporters and engines support torchvision's operator.
"""

from __future__ import annotations

from typing import Any

import torch
import torchvision  # noqa: F401  (registers its kernels with torch)
from torch import Tensor, nn

from detkit.models.layers.deform_conv import DeformConv2d

# Of mmcv; the packs compute their offsets themselves.
_CONVS = ("DeformConv2d", "ModulatedDeformConv2d")
_CONV_PACKS = ("DeformConv2dPack", "ModulatedDeformConv2dPack")


class ExportableDeformConv(nn.Module):
    """mmcv's deformable convolution with torchvision's operator; shares the weights.

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
        """Convolve (B, C, H, W) as the replaced layer does.

        Args:
            x: (B, C, H, W).
            offset, mask: for a layer that does not compute them itself.
        """
        if self.conv_offset is not None:
            offset_and_mask = self.conv_offset(x)
            if self._modulated:
                third = offset_and_mask.shape[1] // 3
                offset, mask = (
                    offset_and_mask[:, : 2 * third],
                    offset_and_mask[:, 2 * third :].sigmoid(),
                )
            else:
                offset = offset_and_mask
        # torchvision's kernel for the CPU does not take the 16-bit values that autocast passes.
        x32 = x.float()
        out: Tensor = torch.ops.torchvision.deform_conv2d(
            x32, self.weight.float(), None if offset is None else offset.float(),
            x32.new_zeros((x.shape[0], 1)) if mask is None else mask.float(),
            x32.new_zeros(len(self.weight)) if self.bias is None else self.bias.float(),
            *self._window, *self._groups, mask is not None,
        )
        return out.to(x.dtype)


class ExportableDepthwise(nn.Module):
    """detkit's depthwise ``DeformConv2d``; uses torchvision's operator while it is traced.

    Args:
        conv: the layer; it is shared.
    """

    def __init__(self, conv: DeformConv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output for (B, C, H, W)."""
        jit: Any = torch.jit
        if not (jit.is_tracing() or torch.compiler.is_exporting()):
            out: Tensor = self.conv(x)
            return out
        self.conv.depthwise = False
        try:
            out = self.conv(x)
        finally:
            self.conv.depthwise = True
        return out


def make_exportable(module: nn.Module) -> nn.Module:
    """Replace all deformable convolutions within ``module``, in place, and return it."""
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
