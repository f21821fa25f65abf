"""A pen that draws in a thing's own coordinates, whatever size and turn the thing has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray

from detkit.data.synthetic.rng import Colour

Points = Sequence[tuple[float, float]]
FRACTION_BITS = 4


def arc(
    x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360
) -> list[tuple[float, float]]:
    """Points along an ellipse, start to stop in degrees clockwise from the right, 9 apart."""
    steps = max(2, math.ceil(abs(stop - start) / 9))
    angles = (math.radians(start + (stop - start) * i / steps) for i in range(steps + 1))
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def smooth(points: Points, steps: int = 6) -> list[tuple[float, float]]:
    """A closed curve through the points (Catmull-Rom), ``steps`` points for each one given."""
    p = np.asarray(points, np.float64)
    before, after, beyond = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    curve = []
    for t in np.arange(steps) / steps:
        bend = 2 * before - 5 * p + 4 * after - beyond
        twist = -before + 3 * p - 3 * after + beyond
        curve.append(p + 0.5 * t * ((after - before) + t * (bend + t * twist)))
    return [(float(x), float(y)) for x, y in np.stack(curve, 1).reshape(-1, 2)]


class Pen:
    """Draws flat shapes on a transparent square.

    Args:
        side: of the square, pixels.
        matrix: (2, 2) float, from the thing's units (about -1..1, x right, y down) to pixels;
            the thing's origin falls on the middle of the square.
        shift: (x, y) pixels added to the middle.

    Attributes:
        canvas: (side, side, 4) uint8 RGBA, colours multiplied by alpha; alpha is 0 or 255.
    """

    def __init__(
        self, side: int, matrix: NDArray[np.float64], shift: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self.canvas: NDArray[np.uint8] = np.zeros((side, side, 4), np.uint8)
        self._matrix = matrix
        self._middle = np.array([side / 2 + shift[0], side / 2 + shift[1]])
        self._unit = math.sqrt(abs(float(np.linalg.det(matrix))))

    def polygon(self, points: Points, colour: Colour | None) -> None:
        """Fill a polygon; colour None makes a hole."""
        cv2.fillPoly(self.canvas, [self._pixels(points)], _rgba(colour), shift=FRACTION_BITS)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour | None) -> None:
        """Fill an ellipse; colour None makes a hole."""
        self.polygon(arc(x, y, rx, ry), colour)

    def stroke(
        self, points: Points, width: float, colour: Colour, closed: bool = False
    ) -> None:
        """Draw a line with round ends and joints, never thinner than 2 pixels of the canvas."""
        thickness = max(2, round(width * self._unit))
        cv2.polylines(
            self.canvas, [self._pixels(points)], closed, _rgba(colour), thickness,
            shift=FRACTION_BITS,
        )  # fmt: skip

    @contextmanager
    def clipped(self) -> Iterator[None]:
        """What is drawn meanwhile shows only where something was drawn before."""
        # A pixel's four bytes as one number: whatever is drawn has alpha 255, so it is not 0.
        whole = self.canvas.view(np.uint32)
        drawn = (whole != 0).astype(np.uint32)
        yield
        whole *= drawn

    def _pixels(self, points: Points) -> NDArray[np.int32]:
        placed = np.asarray(points, np.float64) @ self._matrix.T + self._middle
        # Pixel centres lie on whole numbers for OpenCV, on halves in the thing's frame.
        fixed: NDArray[np.int32] = np.rint((placed - 0.5) * (1 << FRACTION_BITS)).astype(np.int32)
        return fixed


def _rgba(colour: Colour | None) -> tuple[int, int, int, int]:
    return (0, 0, 0, 0) if colour is None else (*colour, 255)
