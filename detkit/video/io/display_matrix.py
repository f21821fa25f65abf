"""How the display matrix of a video turns and mirrors its frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# 3 x 3 whole numbers, as FFmpeg hands them on.
MATRIX_BYTES = 36


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways in which a stored frame can be shown.

    Args:
        transposed: rows and columns are exchanged first.
        flip_x: left and right are exchanged, after that.
        flip_y: top and bottom are exchanged, after that.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The frame as it is to be shown.

        Args:
            image: (H, W, 3) uint8, as stored.

        Returns:
            (H, W, 3), or (W, H, 3) where transposed; uint8, C-contiguous.
        """
        if self.transposed:
            image = image.transpose(1, 0, 2)
        image = image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(image)


UPRIGHT = Orientation()
# By how many quarter turns counter-clockwise.
QUARTER_TURNS = (UPRIGHT, Orientation(True, False, True), Orientation(False, True, True),
                 Orientation(True, True, False))


def frame_orientation(decoded: Any) -> Orientation:
    """How a frame that PyAV decoded is to be shown; as it is stored when it says nothing.

    A rotation by another angle than a multiple of 90 degrees counts as the nearest one.
    """
    try:
        matrix_data = decoded.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV lists no side data beside a kind that it does not know, as EXIF
        return QUARTER_TURNS[round((decoded.rotation or 0) / 90) % 4]
    if matrix_data is None or matrix_data.buffer_size != MATRIX_BYTES:
        return UPRIGHT
    return orientation_from_matrix(np.frombuffer(matrix_data, np.int32).reshape(3, 3))


def orientation_from_matrix(matrix: NDArray[np.int32]) -> Orientation:
    """The orientation that is nearest to a display matrix.

    Args:
        matrix: (3, 3) int32; a stored point (x, y), y downwards, is shown at
            (a x + c y, b x + d y), where [[a, b], [c, d]] are its upper left numbers.

    Returns:
        As it is stored for a matrix that shows nothing, such as one of zeros.

    Source: FFmpeg, libavutil/display.h. Agrees with the filters that its command line inserts.
    """
    (a, b), (c, d) = matrix[:2, :2].astype(float).tolist()
    if a * d == b * c:
        return UPRIGHT
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)
