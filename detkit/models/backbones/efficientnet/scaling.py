"""EfficientNet's compound scaling: how depth, width and image grow together."""

from __future__ import annotations

import math
from typing import NamedTuple

# What the paper's search on B0 found: twice the cost for each step of phi, as
# 1.2 * 1.1^2 * 1.15^2 = 1.92.
_DEPTH, _WIDTH, _RESOLUTION = 1.2, 1.1, 1.15
_BASE_RESOLUTION = 224


class Scale(NamedTuple):
    """Factors on B0.

    Args:
        depth: on the number of blocks.
        width: on the number of channels.
        resolution: side of the square image that the network is trained on, in pixels.
    """

    depth: float
    width: float
    resolution: int


# B1 to B3 are the law at phi = 0.5, 1 and 2, rounded; for B4 to B7 the authors chose wider and
# finer ones than the law gives at any phi. So the release's numbers stand here as they are.
COMPOUND_SCALES: dict[str, Scale] = {
    "b0": Scale(1.0, 1.0, 224),
    "b1": Scale(1.1, 1.0, 240),
    "b2": Scale(1.2, 1.1, 260),
    "b3": Scale(1.4, 1.2, 300),
    "b4": Scale(1.8, 1.4, 380),
    "b5": Scale(2.2, 1.6, 456),
    "b6": Scale(2.6, 1.8, 528),
    "b7": Scale(3.1, 2.0, 600),
}


def compound_scale(phi: float) -> Scale:
    """Depth, width and resolution that a budget of 2^phi times B0's cost is best spent on.

    Args:
        phi: 0 gives B0; below 0 gives smaller networks.

    Returns:
        depth 1.2^phi, width 1.1^phi, resolution 224 * 1.15^phi to the nearest pixel. The released
        networks, ``COMPOUND_SCALES``, are near it (B1 to B3) or were chosen beside it (B4 to B7).

    Source: arXiv 1905.11946, eq. 3 and section 5.1.
    """
    resolution = round(_BASE_RESOLUTION * _RESOLUTION**phi)
    return Scale(_DEPTH**phi, _WIDTH**phi, resolution)


def scale_channels(channels: int, width: float, divisor: int = 8) -> int:
    """Channels times ``width``, to the nearest multiple of ``divisor``, half upwards.

    At least ``divisor``, and a multiple more where rounding would lose more than a tenth.

    Source: agrees with the official release, timm and torchvision.
    """
    scaled = channels * width
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * scaled else rounded + divisor


def scale_repeats(repeats: int, depth: float) -> int:
    """Blocks times ``depth``, rounded up.

    Source: agrees with the official release, timm and torchvision.
    """
    return math.ceil(repeats * depth)
