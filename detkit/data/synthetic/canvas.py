"""A pen that draws in a thing's own coordinates, whatever size and turn the thing has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray

from detkit.data.synthetic.rng import Color

Points = Sequence[tuple[float, float]]
FRACTION_BITS = 4


def arc(
    x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360
) -> list[tuple[float, float]]:
    """Points along an ellipse, start to stop in degrees clockwise from the right, 9 apart."""
    steps = max(2, math.ceil(abs(stop - start) / 9))
    angles = (math.radians(start + (stop - start) * i / steps) for i in range(steps + 1))
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def smooth_curve(points: Points, steps: int = 6) -> list[tuple[float, float]]:
    """A closed curve through the points (Catmull-Rom), ``steps`` points for each one given."""
    p = np.asarray(points, np.float64)
    before, after, beyond = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    curve = []
    for t in np.arange(steps) / steps:
        bend = 2 * before - 5 * p + 4 * after - beyond
        twist = -before + 3 * p - 3 * after + beyond
        curve.append(p + 0.5 * t * ((after - before) + t * (bend + t * twist)))
    return [(float(x), float(y)) for x, y in np.stack(curve, 1).reshape(-1, 2)]


class Canvas:
    """Draws flat shapes on a transparent square.

    Args:
        side: of the square, pixels.
        matrix: (2, 2) float, from the thing's units (about -1..1, x right, y down) to pixels;
            the thing's origin falls on the middle of the square.
        shift: (x, y) pixels added to the middle.

    Attributes:
        pixels: (side, side, 4) uint8 RGBA, colors multiplied by alpha; alpha is 0 or 255.
    """

    def __init__(
        self, side: int, matrix: NDArray[np.float64], shift: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self.pixels: NDArray[np.uint8] = np.zeros((side, side, 4), np.uint8)
        self._matrix = matrix
        self._center = np.array([side / 2 + shift[0], side / 2 + shift[1]])
        self._unit = math.sqrt(abs(float(np.linalg.det(matrix))))

    def polygon(self, points: Points, color: Color | None) -> None:
        """Fill a polygon; color None makes a hole."""
        cv2.fillPoly(self.pixels, [self._to_pixels(points)], _rgba(color), shift=FRACTION_BITS)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color | None) -> None:
        """Fill an ellipse; color None makes a hole."""
        self.polygon(arc(x, y, rx, ry), color)

    def stroke(
        self, points: Points, width: float, color: Color, closed: bool = False
    ) -> None:
        """Draw a line with round ends and joints, never thinner than 2 pixels of the canvas."""
        thickness = max(2, round(width * self._unit))
        cv2.polylines(
            self.pixels, [self._to_pixels(points)], closed, _rgba(color), thickness,
            shift=FRACTION_BITS,
        )  # fmt: skip

    @contextmanager
    def clip_to_drawn(self) -> Iterator[None]:
        """What is drawn meanwhile shows only where something was drawn before."""
        # A pixel's four bytes as one number: whatever is drawn has alpha 255, so it is not 0.
        packed = self.pixels.view(np.uint32)
        drawn = (packed != 0).astype(np.uint32)
        yield
        packed *= drawn

    def _to_pixels(self, points: Points) -> NDArray[np.int32]:
        points_px = np.asarray(points, np.float64) @ self._matrix.T + self._center
        # Pixel centres lie on whole numbers for OpenCV, on halves in the thing's frame.
        fixed_point: NDArray[np.int32] = np.rint(
            (points_px - 0.5) * (1 << FRACTION_BITS)).astype(np.int32)
        return fixed_point


def _rgba(color: Color | None) -> tuple[int, int, int, int]:
    return (0, 0, 0, 0) if color is None else (*color, 255)
