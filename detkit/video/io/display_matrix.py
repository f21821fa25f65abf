"""Rotation and mirroring of frames by the display matrix of a video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# 3 x 3 int32.
MATRIX_BYTES = 36


@dataclass(frozen=True)
class Orientation:
    """One of the eight orientations of a frame.

    Args:
        transposed: swap rows and columns first.
        flip_x: then swap left and right.
        flip_y: then swap top and bottom.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The frame in its display orientation.

        Args:
            image: (H, W, 3) uint8, as stored.

        Returns:
            (H, W, 3), or (W, H, 3) if transposed; uint8, C-contiguous.
        """
        if self.transposed:
            image = image.transpose(1, 0, 2)
        image = image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(image)


UPRIGHT = Orientation()
# Index: number of counterclockwise quarter turns.
QUARTER_TURNS = (UPRIGHT, Orientation(True, False, True), Orientation(False, True, True),
                 Orientation(True, True, False))


def frame_orientation(decoded: Any) -> Orientation:
    """The display orientation of a decoded frame; upright if it has no display matrix.

    The rotation is rounded to a multiple of 90 degrees.
    """
    try:
        matrix_data = decoded.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV cannot list side data if one type is unknown to it, such as EXIF
        return QUARTER_TURNS[round((decoded.rotation or 0) / 90) % 4]
    if matrix_data is None or matrix_data.buffer_size != MATRIX_BYTES:
        return UPRIGHT
    return orientation_from_matrix(np.frombuffer(matrix_data, np.int32).reshape(3, 3))


def orientation_from_matrix(matrix: NDArray[np.int32]) -> Orientation:
    """The orientation nearest to a display matrix.

    Args:
        matrix: (3, 3) int32; a stored point (x, y), y down, is displayed at
            (a x + c y, b x + d y), where [[a, b], [c, d]] is its upper left block.

    Returns:
        Upright for a singular matrix, such as zeros.

    Source: FFmpeg, libavutil/display.h. Agrees with the filters that its command line inserts.
    """
    (a, b), (c, d) = matrix[:2, :2].astype(float).tolist()
    if a * d == b * c:
        return UPRIGHT
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)
