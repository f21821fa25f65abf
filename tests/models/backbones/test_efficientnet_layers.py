"""Layers of EfficientNet against torch's layers and manual examples."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from detkit.models.backbones.efficientnet.conv import ConvNorm, ConvStyle, same_padding
from detkit.models.backbones.efficientnet.layers import SqueezeExcite


def test_folded_eval_norm_matches_torch_with_gradients() -> None:
    torch.manual_seed(0)
    layer = ConvNorm(6, 4, 3, 1, ConvStyle(dict(type="BN", eps=1e-3)), activate=False).eval()
    assert isinstance(layer.norm, _BatchNorm)
    for tensor in layer.norm.running_mean, layer.norm.running_var:
        tensor.copy_(torch.rand(4) + 0.1)  # type: ignore[union-attr]
    nn.init.uniform_(layer.norm.weight, -2, 2)
    nn.init.uniform_(layer.norm.bias)
    image = torch.randn(2, 6, 9, 7)
    results = []
    for plain in (False, True):
        layer.zero_grad()
        out = layer.norm(layer.conv(image)) if plain else layer(image)
        out.pow(3).sum().backward()
        results.append([out.detach(), *(p.grad.clone() for p in layer.parameters())])
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


def test_squeeze_excite_matches_two_convolutions_on_means() -> None:
    torch.manual_seed(0)
    layer = SqueezeExcite(6, 2, ConvStyle(dict(type="BN")))
    image = torch.randn(3, 6, 5, 4)
    means = image.flatten(2).mean(2)[:, :, None, None]
    expected = torch.sigmoid(layer.expand(nn.functional.silu(layer.reduce(means))))
    torch.testing.assert_close(layer(image), expected[:, :, 0, 0])


# ceil(size / stride) windows of the kernel need (windows - 1) * stride + kernel pixels.
@pytest.mark.parametrize("size, kernel, stride, expected", [
    (1, 3, 2, (1, 1)),  # 1 window of 3: 2 more, one on each side
    (224, 3, 2, (0, 1)),  # 112 windows need 225
    (225, 3, 2, (1, 1)),  # 113 windows need 227
    (224, 5, 2, (1, 2)),  # 112 windows need 227
    (225, 5, 2, (2, 2)),  # 113 windows need 229
    (7, 5, 1, (2, 2)),  # 7 windows need 11
    (8, 1, 2, (0, 0)),  # 4 windows need 7: no padding
])
def test_same_padding_puts_odd_pixel_at_end(
    size: int, kernel: int, stride: int, expected: tuple[int, int]
) -> None:
    assert same_padding(size, kernel, stride) == expected
