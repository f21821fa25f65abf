"""Images of 16-bit values into 8 bits, by how much of the range an image uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.data.images.read_notes import ImageNote

# Not 10 and 14: a 12-bit sensor's darker image would be taken for one of 10 bits, four times as
# bright. Images that stay within a quarter of a depth are stretched, which suits those as well.
DEPTHS = (8, 12, 16)
# The share of the darkest, and of the brightest, values that may be dead pixels or sparks.
OUTLIER_SHARE = 1e-4
# An image whose values span less than this share of its depth's range is stretched.
NARROW_SHARE = 0.25
VALUES_PER_CHUNK = 1 << 22


def to_uint8(values: NDArray[Any]) -> tuple[NDArray[np.uint8], ImageNote | None]:
    """Reduce 16-bit values to 8 bits.

    The depth is the least of 8, 12 and 16 bits that holds the values, but for the brightest
    0.01 %. Values that span a quarter of that depth's range or more keep their highest 8 bits, so
    that one sensor's images stay comparable; those of all 16 bits keep the high byte. A narrower
    band, such as a thermal camera's, or the range of a sensor of 10 or 14 bits, is stretched
    linearly from its least value (0) to its greatest (255), again but for 0.01 % on either side.

    Args:
        values: whole numbers of any shape, 0 to 65535; all channels of an image together. May be
            empty.

    Returns:
        uint8 of the same shape, and a note unless the high byte was kept.
    """
    if not values.size:
        return values.astype(np.uint8), None
    low, high = _value_range(values)
    depth = next(bits for bits in DEPTHS if high < 1 << bits)
    lut = np.arange(1 << 16)
    if low < high < low + NARROW_SHARE * (1 << depth):
        scaled = (lut.astype(np.float32) - low) * (255 / (high - low))
        message = (
            f"its 16-bit values lie within {low}..{high}, a narrow band: stretched to 0..255, "
            "each such image by its own band")
        note = ImageNote("narrow_band", message, "stretched to 0..255")
        return _apply_lut(np.rint(scaled), values), note
    if depth == 16:
        return _apply_lut(lut >> 8, values), None
    message = f"its 16-bit values reach {high} at most: read as values of {depth} bits"
    note = ImageNote("fewer_bits", message, f"read as {depth} bits")
    return _apply_lut(lut >> (depth - 8), values), note


def _value_range(values: NDArray[Any]) -> tuple[int, int]:
    """The least and the greatest value, but for the outliers on either side."""
    counts = np.zeros(1 << 16, np.int64)
    for chunk in _row_chunks(values):
        counts += np.bincount(chunk.ravel(), minlength=1 << 16)
    cumulative = np.cumsum(counts)
    outliers = int(OUTLIER_SHARE * values.size)
    low = int(np.searchsorted(cumulative, outliers, side="right"))
    high = int(np.searchsorted(cumulative, values.size - outliers, side="left"))
    return low, high


def _apply_lut(lut: NDArray[Any], values: NDArray[Any]) -> NDArray[np.uint8]:
    """Each value's level of 8 bits; ``lut`` are those of 0 to 65535, and are clipped."""
    clipped_lut = np.clip(lut, 0, 255).astype(np.uint8)
    result = np.empty(values.shape, np.uint8)
    for chunk, out in zip(_row_chunks(values), _row_chunks(result)):
        out[...] = clipped_lut[chunk]
    return result


def _row_chunks(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Some rows at a time: numpy makes 64 bits of each number that is an index."""
    rows = max(1, VALUES_PER_CHUNK * len(values) // values.size)
    for row in range(0, len(values), rows):
        yield values[row:row + rows]
