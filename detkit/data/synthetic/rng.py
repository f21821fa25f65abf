"""Seeded random numbers: one key gives one stream, independent of all others."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")
Color = tuple[int, int, int]

# Degrees; denser where human vision distinguishes more hues.
HUES = (0, 8, 20, 32, 44, 52, 100, 145, 170, 188, 205, 220, 245, 275, 325, 345)


class KeyedRng:
    """A random stream that depends on its key of four integers only.

    All values come from ``Generator.random``, whose stream no NumPy version has changed.

    Args:
        seed: seed of the sample, 0 or more.
        stream: purpose of the stream.
        index: index of the image or track.
        object_index: index of the object in the image.
    """

    def __init__(self, seed: int, stream: int, index: int = 0, object_index: int = 0) -> None:
        # Always four words: SeedSequence pads with zeros, so (1,) and (1, 0) would be one stream.
        key = np.random.SeedSequence([seed, stream, index, object_index])
        self._generator = np.random.Generator(np.random.PCG64(key))

    def uniform(self, low: float, high: float) -> float:
        """A float in [low, high), uniformly distributed."""
        return low + (high - low) * float(self._generator.random())

    def log_uniform(self, low: float, high: float) -> float:
        """A float in [low, high) with a uniform logarithm; 0 < low <= high."""
        return float(low * (high / low) ** self._generator.random())

    def randint(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int((high - low + 1) * self._generator.random())

    def bernoulli(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self._generator.random() < probability)

    def choice(self, items: Sequence[Item]) -> Item:
        """One of the items with equal probability; a repeated item has a higher one."""
        return items[self.randint(0, len(items) - 1)]

    def random_array(self, height: int, width: int) -> NDArray[np.float32]:
        """(height, width) float32, independent values in [0, 1)."""
        return self._generator.random((height, width), dtype=np.float32)

    def color(self, hues: Sequence[float] = HUES, saturation: tuple[float, float] = (0.5, 0.9),
              value: tuple[float, float] = (0.6, 1.0)) -> Color:
        """An RGB color, 0..255, within 10 degrees of one of the hues."""
        hue = self.choice(hues) + self.uniform(-10, 10)
        s, v = self.uniform(*saturation), self.uniform(*value)
        if 70 < hue < 165:  # saturated greens are too bright next to other colors
            s, v = 0.8 * s, 0.88 * v
        red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(hue / 360 % 1, s, v))
        return red, green, blue


def tint(color: Color, amount: float) -> Color:
    """The color mixed with white (amount in 0..1) or black (-1..0)."""
    target = 255 if amount > 0 else 0
    red, green, blue = (round(c + (target - c) * abs(amount)) for c in color)
    return red, green, blue
