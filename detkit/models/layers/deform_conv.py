"""Deformable convolution, version 1 (offsets) and version 2 (offsets and masks)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torchvision  # noqa: F401  (registers its kernels with torch)
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.models.layers.deform_depthwise import deform_depthwise
from detkit.models.validation import is_count


class DeformConv2d(nn.Conv2d):
    """Deformable convolution; ``conv_offset``, a convolution of the same input, predicts offsets.

    Weight and bias have the names, shapes and initialization of ``nn.Conv2d``. ``conv_offset`` is
    initialized to zero, where this equals the plain convolution with the same weight: offsets are
    0 and masks 2 * sigmoid(0) = 1. mmcv's ``DCNv2`` uses sigmoid without the factor 2: halve the
    ``weight`` of its checkpoints to get the same output here; the other parameters are the same.
    An initializer applied to all convolutions also changes ``conv_offset``;
    ``add_zero_init_offsets`` resets it.

    Offsets are commonly trained with a tenth of the learning rate:
    ``optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(conv_offset=dict(lr_mult=0.1))))``.

    ``conv_offset`` has the kernel size, stride, padding and dilation of the convolution, as in the
    papers. For a depthwise convolution with an odd kernel above 3 it has a 3 x 3 kernel without
    dilation around the same center: it is dense, and at 7 x 7 would cost more than its block.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias: as
            ``nn.Conv2d``'s; numbers or (y, x) pairs; zero padding.
        modulated: whether each tap has a mask (version 2).
        deform_groups: groups of input channels, each with its own offsets and masks.

    Raises:
        ConfigError: groups that do not divide the channels, or an invalid size.

    Source: arXiv 1703.06211, 1811.11168. Agrees with mmcv's except for the factor of the mask.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        modulated: bool = True,
        deform_groups: int = 1,
    ) -> None:
        for name, count in (("groups", groups), ("deform_groups", deform_groups)):
            channels = (in_channels, out_channels) if name == "groups" else (in_channels,)
            if not is_count(count) or any(c % count for c in channels):
                raise ConfigError(
                    f"DeformConv2d: {name}",
                    got=repr(count),
                    expected=f"a whole number that divides the channels {channels}",
                )
        super().__init__(
            in_channels,
            out_channels,
            _pair("kernel_size", kernel_size, 1),
            stride=_pair("stride", stride, 1),
            padding=_pair("padding", padding, 0),
            dilation=_pair("dilation", dilation, 1),
            groups=groups,
            bias=bias,
        )
        self.modulated = modulated
        self.deform_groups = deform_groups
        self.depthwise = groups == in_channels == out_channels and deform_groups == 1
        self._window = cast("tuple[tuple[int, int], tuple[int, int], tuple[int, int]]",
                            (self.stride, self.padding, self.dilation))
        self._build_conv_offset()

    def _build_conv_offset(self) -> None:
        taps = self.kernel_size[0] * self.kernel_size[1]
        kernel, dilation = list(self.kernel_size), list(self.dilation)
        padding = list(self._window[1])
        if self.groups == self.in_channels:
            for axis in (0, 1):
                if kernel[axis] > 3 and kernel[axis] % 2:
                    padding[axis] += 1 - dilation[axis] * (kernel[axis] - 1) // 2
                    kernel[axis], dilation[axis] = 3, 1
        # With negative padding, the outermost pixels are not the center of any window.
        self._crop = (max(0, -padding[0]), max(0, -padding[1]))
        self.conv_offset = nn.Conv2d(
            self.in_channels,
            (3 if self.modulated else 2) * taps * self.deform_groups,
            (kernel[0], kernel[1]),
            stride=self._window[0],
            padding=(max(0, padding[0]), max(0, padding[1])),
            dilation=(dilation[0], dilation[1]),
        )
        self.reset_offsets()

    def reset_offsets(self) -> None:
        """Set all offsets to 0 and all masks to 1, as for a plain convolution."""
        nn.init.zeros_(self.conv_offset.weight)
        if self.conv_offset.bias is not None:
            nn.init.zeros_(self.conv_offset.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the deformable convolution.

        Args:
            input: (B, C, H, W) floating point, any memory format. B may be 0.

        Returns:
            (B, O, P, Q) in the output dtype of ``nn.Conv2d``, also under autocast. Sampling and
            summation are done in float32 at least.
        """
        top, left = self._crop
        height, width = input.shape[2:]
        offset_mask = self.conv_offset(input[:, :, top : height - top, left : width - left])
        dtype = torch.promote_types(input.dtype, torch.float32)
        x, weight = input.to(dtype), self.weight.to(dtype)
        bias = None if self.bias is None else self.bias.to(dtype)
        taps = self.kernel_size[0] * self.kernel_size[1]
        offset = offset_mask[:, : 2 * taps * self.deform_groups].to(dtype)
        mask = None
        if self.modulated:
            mask = 2 * offset_mask[:, 2 * taps * self.deform_groups :].to(dtype).sigmoid()
        if self.depthwise and input.device.type == "cpu":
            out = deform_depthwise(x, offset, weight, bias, mask, *self._window)
        else:
            out = torch.ops.torchvision.deform_conv2d(
                x,
                weight,
                offset,
                x.new_zeros((x.shape[0], 1)) if mask is None else mask,
                x.new_zeros(self.out_channels) if bias is None else bias,
                *(number for pair in self._window for number in pair),
                self.groups,
                self.deform_groups,
                self.modulated,
            )
        return out.to(offset_mask.dtype)

    def extra_repr(self) -> str:
        """As for ``nn.Conv2d``, with ``modulated`` and ``deform_groups``."""
        conv_repr: str = super().extra_repr()  # type: ignore[no-untyped-call]
        return f"{conv_repr}, modulated={self.modulated}, deform_groups={self.deform_groups}"


class ZeroInitOffsets:
    """A step of ``init_cfg`` that sets the offsets of all deformable convolutions to 0."""

    def __call__(self, module: nn.Module) -> None:
        """Reset the offsets of every ``DeformConv2d`` in ``module``."""
        for submodule in module.modules():
            if isinstance(submodule, DeformConv2d):
                submodule.reset_offsets()


def add_zero_init_offsets(init_cfg: Any) -> Any:
    """Append ``ZeroInitOffsets`` to the steps of ``init_cfg``.

    mmengine and detkit apply a 'Pretrained' step last, wherever it is in the list, so offsets
    are zero unless the checkpoint has them.

    Args:
        init_cfg: None, a step, or a list of steps. Any other value is returned unchanged, and the
            loader rejects it.
    """
    if init_cfg and not isinstance(init_cfg, (Mapping, list, tuple)):
        return init_cfg
    steps = [init_cfg] if isinstance(init_cfg, Mapping) and init_cfg else list(init_cfg or ())
    return [*steps, dict(type=ZeroInitOffsets)]


def _pair(name: str, value: int | Sequence[int], minimum: int) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(is_count(v, minimum) for v in pair):
        raise ConfigError(f"DeformConv2d: {name}", got=repr(value),
                          expected=f"a whole number from {minimum}, or two of them (y, x)")
    return pair
