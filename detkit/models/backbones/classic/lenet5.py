"""LeNet-5 as in its paper, without the last layer.

Legend: B images, C maps, H and W height and width in pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detkit.models.validation import check_count

# The maps of S2 that each of the 16 maps of C3 reads, table I of the paper: six rows of three
# neighbors, six of four, three of four with a gap, and one of all six; 60 kernels.
_CONNECTIONS = (
    *((i, (i + 1) % 6, (i + 2) % 6) for i in range(6)),
    *((i, (i + 1) % 6, (i + 2) % 6, (i + 3) % 6) for i in range(6)),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)


class LeNet5(nn.Module):
    """The network of LeCun et al., for images of 32 x 32 pixels and larger.

    As in the paper: scaled tanh after each layer, trainable subsampling (a factor and a bias for
    each map), and the connection table of C3. Different from it: the head (a linear layer and
    softmax) replaces the radial basis functions after F6; subsampling is initialized to the mean
    of four pixels; weights are initialized with std fan-in ** -0.5 (Efficient BackProp, 1998),
    since the paper's uniform range 2.4 / fan-in needs its second-order steps to train; larger
    images are average-pooled to the 5 x 5 input of C5, which changes nothing at 32 x 32.

    Args:
        in_channels: channels of the image; 1 in the paper.

    Raises:
        ConfigError: ``in_channels`` is not a positive integer.

    Source: LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document
    Recognition, Proceedings of the IEEE 86 (11), 1998, section II.B.
    """

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        check_count("LeNet5", "in_channels", in_channels)
        self.c1 = nn.Conv2d(in_channels, 6, 5)
        self.s2 = Subsampling(6)
        self.c3 = TableConv()
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.num_features = 84
        for layer, fan_in in ((self.c1, 25 * in_channels), (self.c5, 400), (self.f6, 120)):
            _init_weights(layer.weight, fan_in)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W), H and W at least 32 -> (B, 84), the output of F6."""
        x = self.s2(scaled_tanh(self.c1(x)))
        x = self.s4(scaled_tanh(self.c3(x)))
        x = scaled_tanh(self.c5(F.adaptive_avg_pool2d(x, 5)))
        return scaled_tanh(self.f6(x.flatten(1)))


def scaled_tanh(x: Tensor) -> Tensor:
    """1.7159 tanh(2 x / 3), which maps 1 to 1 and -1 to -1; any shape."""
    return 1.7159 * torch.tanh(2 / 3 * x)


def _init_weights(weight: Tensor, fan_in: int) -> None:
    """Uniform with std fan_in ** -0.5, so that activations are of order one."""
    bound = (3 / fan_in) ** 0.5
    with torch.no_grad():
        weight.uniform_(-bound, bound)


class Subsampling(nn.Module):
    """The sum of 2 x 2 pixels, times a factor plus a bias of the channel, then scaled tanh.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.full((channels, 1, 1), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H // 2, W // 2)."""
        return scaled_tanh(F.avg_pool2d(x, 2) * 4 * self.factor + self.bias)


class TableConv(nn.Module):
    """C3: a 5 x 5 convolution of 6 to 16 maps with the connections of ``_CONNECTIONS``.

    ``weight`` is (60, 5, 5), the kernels in the order of the table; ``bias`` is (16,).
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(60, 5, 5))
        self.bias = nn.Parameter(torch.zeros(16))
        rows = [row for row, maps in enumerate(_CONNECTIONS) for _ in maps]
        columns = [column for maps in _CONNECTIONS for column in maps]
        self.connections: Tensor
        self.register_buffer("connections", torch.tensor([rows, columns]), persistent=False)
        for kernel, row in zip(self.weight, rows):
            _init_weights(kernel, 25 * len(_CONNECTIONS[row]))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 6, H, W) -> (B, 16, H - 4, W - 4)."""
        dense_weight = self.weight.new_zeros(16, 6, 5, 5)
        rows, columns = self.connections
        return F.conv2d(x, dense_weight.index_put((rows, columns), self.weight), self.bias)
