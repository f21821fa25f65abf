"""Chance for the built-in sample: the same key gives the same throws, whoever threw before."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")
Color = tuple[int, int, int]


# Degrees; closer together where the eye tells more colors apart.
HUES = (0, 8, 20, 32, 44, 52, 100, 145, 170, 188, 205, 220, 245, 275, 325, 345)


class KeyedRng:
    """A stream of chance that belongs to four whole numbers and to nothing else.

    Every throw is made from ``Generator.random``, the one method whose stream NumPy has kept
    since it exists, so that a new NumPy does not redraw the sample.

    Args:
        seed: of the whole sample, 0 or more.
        stream: what the stream is for, so that two uses of one seed never share throws.
        index: of the picture or track within the stream.
        object_index: of the thing within the picture.
    """

    def __init__(self, seed: int, stream: int, index: int = 0, object_index: int = 0) -> None:
        # Always four words: SeedSequence pads with zeros, so (1,) and (1, 0) would be one stream.
        key = np.random.SeedSequence([seed, stream, index, object_index])
        self._generator = np.random.Generator(np.random.PCG64(key))

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high), all equally likely."""
        return low + (high - low) * float(self._generator.random())

    def log_uniform(self, low: float, high: float) -> float:
        """A number in [low, high), each doubling equally likely; 0 < low <= high."""
        return float(low * (high / low) ** self._generator.random())

    def randint(self, low: int, high: int) -> int:
        """A whole number in low..high, both ends included."""
        return low + int((high - low + 1) * self._generator.random())

    def bernoulli(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self._generator.random() < probability)

    def choice(self, items: Sequence[Item]) -> Item:
        """One of the items, each equally likely; repeat an item to favour it."""
        return items[self.randint(0, len(items) - 1)]

    def random_array(self, height: int, width: int) -> NDArray[np.float32]:
        """(height, width) float32, every value in [0, 1) by itself."""
        return self._generator.random((height, width), dtype=np.float32)

    def color(
        self,
        hues: Sequence[float] = HUES,
        saturation: tuple[float, float] = (0.5, 0.9),
        value: tuple[float, float] = (0.6, 1.0),
    ) -> Color:
        """An RGB color, 0..255, within 10 degrees of one of the hues."""
        hue = self.choice(hues) + self.uniform(-10, 10)
        full, bright = self.uniform(*saturation), self.uniform(*value)
        if 70 < hue < 165:  # full greens glare beside everything else
            full, bright = 0.8 * full, 0.88 * bright
        return hsv_to_rgb(hue, full, bright)


def hsv_to_rgb(hue: float, saturation: float, value: float) -> Color:
    """The RGB color, 0..255, of a hue in degrees and a saturation and value in [0, 1]."""
    red, green, blue = colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def tint(color: Color, amount: float) -> Color:
    """The color moved towards white (amount in 0..1) or towards black (-1..0)."""
    target = 255 if amount > 0 else 0
    red, green, blue = (round(c + (target - c) * abs(amount)) for c in color)
    return red, green, blue
