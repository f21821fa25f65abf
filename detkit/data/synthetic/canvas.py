"""A canvas that draws flat shapes in the coordinates of an object."""

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


def rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    """The corners of a rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def arc(x: float, y: float, rx: float, ry: float, start: float = 0,
        stop: float = 360) -> list[tuple[float, float]]:
    """Points on an ellipse, every 9 degrees from start to stop, clockwise from the right."""
    steps = max(2, math.ceil(abs(stop - start) / 9))
    angles = (math.radians(start + (stop - start) * i / steps) for i in range(steps + 1))
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def smooth_curve(points: Points, steps: int = 6) -> Points:
    """A closed Catmull-Rom spline through the points, ``steps`` points for each."""
    p = np.asarray(points, np.float64)
    before, after, beyond = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    quadratic = 2 * before - 5 * p + 4 * after - beyond
    cubic = -before + 3 * p - 3 * after + beyond
    curve = [p + 0.5 * t * ((after - before) + t * (quadratic + t * cubic))
             for t in np.arange(steps) / steps]
    return [(float(x), float(y)) for x, y in np.stack(curve, 1).reshape(-1, 2)]


class Canvas:
    """Draws flat shapes on a transparent square.

    Args:
        side: side length in pixels.
        matrix: (2, 2) float, from object units (about -1..1, x right, y down) to pixels; the
            origin of the object is the center of the square.
        shift: (x, y) pixels added to the center.

    Attributes:
        pixels: (side, side, 4) uint8 RGBA, colors multiplied by alpha; alpha is 0 or 255.
    """

    def __init__(self, side: int, matrix: NDArray[np.float64],
                 shift: tuple[float, float] = (0.0, 0.0)) -> None:
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

    def circle(self, x: float, y: float, radius: float, color: Color | None) -> None:
        """Fill a circle; color None makes a hole."""
        self.ellipse(x, y, radius, radius, color)

    def stroke(self, points: Points, width: float, color: Color, closed: bool = False) -> None:
        """Draw a polyline with round caps and joints, at least 2 canvas pixels thick."""
        cv2.polylines(self.pixels, [self._to_pixels(points)], closed, _rgba(color),
                      max(2, round(width * self._unit)), shift=FRACTION_BITS)

    @contextmanager
    def clip_to_drawn(self) -> Iterator[None]:
        """Restrict drawing inside the context to pixels drawn before."""
        # A pixel's four bytes as one integer: drawn pixels have alpha 255, so it is not 0.
        packed = self.pixels.view(np.uint32)
        drawn = (packed != 0).astype(np.uint32)
        yield
        packed *= drawn

    def _to_pixels(self, points: Points) -> NDArray[np.int32]:
        points_px = np.asarray(points, np.float64) @ self._matrix.T + self._center
        # Pixel centers are at integers in OpenCV, at halves in the object's frame.
        fixed_point: NDArray[np.int32] = np.rint(
            (points_px - 0.5) * (1 << FRACTION_BITS)).astype(np.int32)
        return fixed_point


def _rgba(color: Color | None) -> tuple[int, int, int, int]:
    return (0, 0, 0, 0) if color is None else (*color, 255)
