"""Convert 16-bit images to 8 bits, by the range of values that an image uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.data.images.read_notes import ImageNote

# Not 10 and 14: a dark image of a 12-bit sensor would be read as 10 bits, four times as bright.
# Images of these depths are within a quarter of the next one and are stretched.
DEPTHS = (8, 12, 16)
# The share of the darkest, and of the brightest, values that may be defective pixels.
OUTLIER_SHARE = 1e-4
# An image whose values span less than this share of its depth's range is stretched.
NARROW_SHARE = 0.25
VALUES_PER_CHUNK = 1 << 22


def to_uint8(values: NDArray[Any]) -> tuple[NDArray[np.uint8], ImageNote | None]:
    """Reduce 16-bit values to 8 bits.

    The depth is the smallest of 8, 12 and 16 bits that holds the values, except the brightest
    0.01 %. Values that span a quarter or more of the range of that depth keep their highest 8
    bits, so that images of one sensor stay comparable. A narrower range, such as that of a thermal
    camera, or of a sensor with 10 or 14 bits, is stretched linearly from the minimum (0) to the
    maximum (255), again except 0.01 % on either side.

    Args:
        values: integers of any shape, 0 to 65535; all channels of an image together. May be
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
            f"its 16-bit values are within {low}..{high}, a narrow range: stretched to 0..255, "
            "each such image by its own range")
        note = ImageNote("narrow_band", message, "stretched to 0..255")
        return _apply_lut(np.rint(scaled), values), note
    if depth == 16:
        return _apply_lut(lut >> 8, values), None
    message = f"its 16-bit values are at most {high}: read as values of {depth} bits"
    note = ImageNote("fewer_bits", message, f"read as {depth} bits")
    return _apply_lut(lut >> (depth - 8), values), note


def _value_range(values: NDArray[Any]) -> tuple[int, int]:
    """The minimum and maximum without outliers on either side."""
    counts = np.zeros(1 << 16, np.int64)
    for chunk in _row_chunks(values):
        counts += np.bincount(chunk.ravel(), minlength=1 << 16)
    cumulative = np.cumsum(counts)
    outliers = int(OUTLIER_SHARE * values.size)
    low = int(np.searchsorted(cumulative, outliers, side="right"))
    high = int(np.searchsorted(cumulative, values.size - outliers, side="left"))
    return low, high


def _apply_lut(lut: NDArray[Any], values: NDArray[Any]) -> NDArray[np.uint8]:
    """Map values through a lookup table for 0 to 65535, clipped to 8 bits."""
    clipped_lut = np.clip(lut, 0, 255).astype(np.uint8)
    result = np.empty(values.shape, np.uint8)
    for chunk, out in zip(_row_chunks(values), _row_chunks(result)):
        out[...] = clipped_lut[chunk]
    return result


def _row_chunks(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Chunks of rows: numpy converts each value that is used as an index to 64 bits."""
    rows = max(1, VALUES_PER_CHUNK * len(values) // values.size)
    for row in range(0, len(values), rows):
        yield values[row:row + rows]
