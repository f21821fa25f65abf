"""EfficientNet's compound scaling of depth, width and resolution."""

from __future__ import annotations

import math
from typing import NamedTuple

# From the paper's grid search on B0: the cost about doubles with each step of phi,
# 1.2 * 1.1^2 * 1.15^2 = 1.92.
_DEPTH, _WIDTH, _RESOLUTION = 1.2, 1.1, 1.15
_BASE_RESOLUTION = 224


class Scale(NamedTuple):
    """Factors relative to B0.

    Args:
        depth: on the number of blocks.
        width: on the number of channels.
        resolution: side of the square training images, in pixels.
    """

    depth: float
    width: float
    resolution: int


# B1 to B3 follow the scaling rule at phi = 0.5, 1 and 2, rounded; B4 to B7 are wider and of higher
# resolution than the rule gives at any phi. The values are those of the official release.
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

# Of the Lite release. Its stem, its head and the repeats of the first and last group do not scale.
LITE_SCALES: dict[str, Scale] = {
    "lite0": Scale(1.0, 1.0, 224),
    "lite1": Scale(1.1, 1.0, 240),
    "lite2": Scale(1.2, 1.1, 260),
    "lite3": Scale(1.4, 1.2, 280),
    "lite4": Scale(1.8, 1.4, 300),
}


def compound_scale(phi: float) -> Scale:
    """Depth, width and resolution for 2^phi times the cost of B0.

    Args:
        phi: 0 for B0; negative for smaller networks.

    Returns:
        depth 1.2^phi, width 1.1^phi, resolution 224 * 1.15^phi to the nearest pixel. The released
        networks, ``COMPOUND_SCALES``, are close to it (B1 to B3) or differ from it (B4 to B7).

    Source: arXiv 1905.11946, eq. 3 and section 5.1.
    """
    resolution = round(_BASE_RESOLUTION * _RESOLUTION**phi)
    return Scale(_DEPTH**phi, _WIDTH**phi, resolution)


def scale_channels(channels: int, width: float, divisor: int = 8) -> int:
    """Channels times ``width``, rounded to the nearest multiple of ``divisor``, half up.

    At least ``divisor``, and rounded up where rounding down would lose more than 10 %.

    Source: agrees with the official release, timm and torchvision.
    """
    scaled = channels * width
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * scaled else rounded + divisor


def scale_repeats(repeats: int, depth: float) -> int:
    """Number of blocks times ``depth``, rounded up.

    Source: agrees with the official release, timm and torchvision.
    """
    return math.ceil(repeats * depth)
