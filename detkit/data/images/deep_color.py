"""Color images with 16 bits per channel, of which Pillow reads only the high bytes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detkit.data.images.read_notes import NoteCallback
from detkit.data.images.sixteen_bits import to_uint8
from detkit.errors import DataError

# If the high bytes span this range, and reach this value, `to_uint8` would keep them.
MIN_HIGH_BYTE_SPAN = 64
MIN_SIZE_LIMIT = 1 << 30


def is_deep_color(image: Image.Image) -> bool:
    """Whether an opened, not yet decoded image has color or alpha channels of 16 bits."""
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
    """The image with colors scaled by `to_uint8`; None where the high bytes suffice.

    Args:
        image: decoded; `is_deep_color` was true for it.
        path: its file.
        on_note: receives a note on the scaling.

    Returns:
        RGB or RGBA, in the same orientation as ``image``.
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
    """Whether both are the same image in the same orientation; Pillow may round the high byte."""
    return all(np.abs((row >> 8).astype(np.int16) - other).max() <= 1
               for row, other in zip(values, high_bytes))


def _read_sixteen_bits(path: str | Path, value_count: int) -> NDArray[np.uint16] | None:
    """(H, W, 3) RGB or (H, W, 4) RGBA; None when OpenCV cannot read the file so.

    Args:
        value_count: the number of values of the image.

    Raises:
        DataError: the file is far larger than they need.
    """
    import cv2

    if os.path.getsize(path) > max(MIN_SIZE_LIMIT, 8 * value_count):
        raise DataError(f"{path}: it has {os.path.getsize(path) / 1e9:.1f} GB, too much to read "
                        "its 16-bit colors", hint="save its first page as a file")

    # Not cv2.imread: OpenCV cannot open all file names on all systems.
    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        return None
    conversion = cv2.COLOR_BGR2RGB if values.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    converted: NDArray[np.uint16] = cv2.cvtColor(values, conversion)
    return converted
