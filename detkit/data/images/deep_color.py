"""Color images of 16 bits a channel, of which Pillow keeps the high bytes only."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detkit.data.images.read_notes import NoteCallback
from detkit.data.images.sixteen_bits import to_uint8
from detkit.errors import DataError

# High bytes that span as much, and reach as far, are what `to_uint8` would keep.
MIN_HIGH_BYTE_SPAN = 64
MIN_SIZE_LIMIT = 1 << 30


def is_deep_color(image: Image.Image) -> bool:
    """Whether an opened image that is not yet decoded has color, or alpha, of 16 bits."""
    tiles = getattr(image, "tile", None)
    if image.mode == "I" or image.mode.startswith("I;16") or not tiles:
        return False
    codec, _, _, args = tiles[0]
    if codec == "ppm":
        return isinstance(args, tuple) and isinstance(args[-1], int) and args[-1] > 255
    return ";16" in str(args)


def rescale_deep_color(
    image: Image.Image, path: str | Path, on_note: NoteCallback
) -> Image.Image | None:
    """The image with its colors scaled as `to_uint8` does; None where the high bytes serve.

    Args:
        image: decoded, one for which `is_deep_color` holds.
        path: its file.

    Returns:
        RGB or RGBA, turned as ``image`` is by now.
    """
    high_bytes = np.asarray(image.convert("RGB"))
    if high_bytes.max() >= MIN_HIGH_BYTE_SPAN and int(high_bytes.max()) - int(
            high_bytes.min()) >= MIN_HIGH_BYTE_SPAN:
        return None
    values = _read_sixteen_bits(path, high_bytes.size)
    if values is None or values.shape[:2] != high_bytes.shape[:2] or not _matches_high_bytes(
            values[..., :3], high_bytes):
        return None
    color, note = to_uint8(values[..., :3])
    if note is None:
        return None
    on_note(note)
    if values.shape[2] == 3:
        return Image.fromarray(color)
    return Image.fromarray(np.dstack([color, (values[..., 3] >> 8).astype(np.uint8)]), "RGBA")


def _matches_high_bytes(values: NDArray[np.uint16], high_bytes: NDArray[np.uint8]) -> bool:
    """Whether it is the same image, and turned alike; Pillow may round, not take the high byte."""
    return all(np.abs((row >> 8).astype(np.int16) - other).max() <= 1
               for row, other in zip(values, high_bytes))


def _read_sixteen_bits(path: str | Path, value_count: int) -> NDArray[np.uint16] | None:
    """(H, W, 3) RGB or (H, W, 4) RGBA; None when OpenCV cannot read the file so.

    Args:
        value_count: how many values the image has.

    Raises:
        DataError: the file holds far more than them.
    """
    import cv2

    if os.path.getsize(path) > max(MIN_SIZE_LIMIT, 8 * value_count):
        raise DataError(f"{path}: it holds {os.path.getsize(path) / 1e9:.1f} GB, too much to read "
                        "its 16-bit colors", hint="save its first page alone")

    # Not by name: OpenCV cannot open every name on every system.
    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        return None
    conversion = cv2.COLOR_BGR2RGB if values.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    converted: NDArray[np.uint16] = cv2.cvtColor(values, conversion)
    return converted
