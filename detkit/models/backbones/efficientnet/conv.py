"""EfficientNet's basic layer: convolution, norm and activation, fused where possible.

Legend: B images, C and O channels in and out, H and W height and width of the map in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from detkit.models.layers.deform_conv import DeformConv2d
from detkit.models.layers.depthwise_conv import depthwise_conv2d
from detkit.models.layers.norm import build_norm


@dataclass(frozen=True)
class ConvStyle:
    """Settings shared by all convolutions of a network.

    Args:
        norm: as ``build_norm`` takes it.
        padding: 'symmetric' or 'same'.
        activation: 'silu' or 'relu6'.
    """

    norm: Mapping[str, Any]
    padding: str = "symmetric"
    activation: str = "silu"

    def activate(self, x: Tensor) -> Tensor:
        """Apply the activation, in place where autograd does not need ``x``."""
        if self.activation == "relu6":
            return F.hardtanh(x, 0.0, 6.0, inplace=True)
        # In-place SiLU would copy its input for the backward pass.
        return F.silu(x, inplace=not x.requires_grad)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zero padding (before, after) of an axis of ``size`` pixels for TensorFlow's 'same' padding.

    The output has ceil(size / stride) positions; an odd total is padded more at the end. At
    stride 2, even sizes are padded less at the start than with symmetric padding.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class ConvNorm(nn.Module):
    """A convolution without bias, a norm, and optionally the activation.

    A batch norm in eval mode is folded into the weights at every call, since its statistics may
    have changed: that costs a pass over the weights and saves one over the map. Gradients are
    computed for all parameters.

    Args:
        in_channels, out_channels: C and O.
        kernel, stride: of the convolution; the kernel size is odd.
        style: norm, padding and activation.
        groups: 1, or C for a depthwise one.
        activate: whether to apply the activation.
        deform: whether the convolution is deformable.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int,
        style: ConvStyle,
        *,
        groups: int = 1,
        activate: bool = True,
        deform: bool = False,
    ) -> None:
        super().__init__()
        conv_class = DeformConv2d if deform else nn.Conv2d
        padding = kernel // 2 if style.padding == "symmetric" else 0
        self.conv = conv_class(in_channels, out_channels, kernel, stride, padding, groups=groups,
                               bias=False)
        self.norm = build_norm("EfficientNet", style.norm, out_channels)
        self.style = style
        self.activate = activate
        self.deform = deform
        self._conv_args = (kernel, stride, groups)

    def reset_parameters(self) -> None:
        """Initialize weights: normal, variance 2 / fan-out; norms to 1 and 0, offsets to 0.

        Source: the initializer of the paper's code; a depthwise kernel has fan-out k * k.
        """
        kernel, _, groups = self._conv_args
        fan_out = kernel**2 * self.conv.out_channels / groups
        nn.init.normal_(self.conv.weight, std=(2 / fan_out) ** 0.5)
        if isinstance(self.conv, DeformConv2d):
            self.conv.reset_offsets()
        for name, value in (("weight", 1.0), ("bias", 0.0)):
            if isinstance(getattr(self.norm, name, None), Tensor):
                nn.init.constant_(getattr(self.norm, name), value)

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        """Apply convolution, norm and activation.

        Args:
            x: (B, C, H, W). With a gate it may be overwritten.
            gate: (B, C) factors on the channels, for a 1 x 1 convolution without groups.

        Returns:
            (B, O, ceil(H / stride), ceil(W / stride)), a new tensor.
        """
        if self.deform:
            out = self.norm(self.conv(self._pad_input(x)[0]))
        else:
            folded = self._fold_norm()
            weight, bias = folded or (self.conv.weight, None)
            if gate is None:
                _, stride, groups = self._conv_args
                x, padding = self._pad_input(x)
                if groups == 1:
                    out = F.conv2d(x, weight, bias, stride, padding)
                else:
                    out = depthwise_conv2d(x, weight, bias, stride, padding)
            else:
                out = _gated_conv2d(x, gate, weight, bias)
            out = out if folded else self.norm(out)
        return self.style.activate(out) if self.activate else out

    def _pad_input(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """The input, padded where padding is asymmetric, and the padding of the convolution."""
        kernel, stride, _ = self._conv_args
        if self.style.padding == "symmetric":
            return x, (kernel // 2, kernel // 2)
        top, bottom = same_padding(x.shape[2], kernel, stride)
        left, right = same_padding(x.shape[3], kernel, stride)
        if top == bottom and left == right and not self.deform:
            return x, (top, left)
        return F.pad(x, (left, right, top, bottom)), (0, 0)

    def _fold_norm(self) -> tuple[Tensor, Tensor] | None:
        """Weight and bias with the norm folded in; None where the norm cannot be folded."""
        norm = self.norm
        if not isinstance(norm, _BatchNorm) or norm.training or not norm.affine:
            return None
        mean, variance = norm.running_mean, norm.running_var
        if mean is None or variance is None:
            return None
        # In float32 at least, also for a half-precision model.
        conv_weight = self.conv.weight
        dtype = torch.promote_types(conv_weight.dtype, torch.float32)
        scale = norm.weight.to(dtype) * torch.rsqrt(variance.to(dtype) + norm.eps)
        weight = conv_weight.to(dtype) * scale.view(-1, 1, 1, 1)
        bias = norm.bias.to(dtype) - mean.to(dtype) * scale
        return weight.to(conv_weight.dtype), bias.to(conv_weight.dtype)


def _gated_conv2d(x: Tensor, gate: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """1 x 1 convolution of x * gate; x (B, C, H, W), gate (B, C), weight (O, C, 1, 1)."""
    if not (x.requires_grad or gate.requires_grad or weight.requires_grad):
        return F.conv2d(x.mul_(gate[:, :, None, None]), weight, bias)
    # Fold the gate into one weight matrix for each image: no gated map is made or kept for the
    # backward pass.
    weights = (weight.flatten(1) * gate[:, None]).transpose(1, 2)
    pixels = x.permute(0, 2, 3, 1).flatten(1, 2)
    if bias is None:
        out = torch.bmm(pixels, weights)
    else:
        out = torch.baddbmm(bias, pixels, weights)
    return out.reshape(*x.shape[:1], *x.shape[2:], out.shape[-1]).permute(0, 3, 1, 2)
