"""Images from files, as a person sees them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from detkit.errors import DataError

ORIENTATION_TAG = 0x0112
REMEDY = "fetch the file again, or remove it together with its annotations"
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif",
     ".ppm", ".pgm", ".pbm", ".mpo", ".avif", ".jp2"}
)

# How each EXIF orientation is undone (EXIF 2.3, tag 0x0112): the picture is stored so that this
# transposition shows it upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read one image file as a person sees it.

    EXIF orientation is applied. Grey, palette, CMYK and 1-bit pictures become RGB; of 16-bit
    ones the high byte is kept; transparent pixels are laid over white. Of an animation the
    first picture is read.

    Returns:
        (H, W, 3) uint8, RGB, C-contiguous.

    Raises:
        DataError: the file is missing, no image, cut short, or holds floating-point values.
    """
    if not os.path.isfile(path):
        raise DataError(f"{path}: no such image file")
    try:
        with Image.open(path) as image:
            image.load()
            upright = UPRIGHT.get(orientation(image))
            rgb = _to_rgb(image, path)
            return np.array(rgb if upright is None else rgb.transpose(upright))
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"{path}: not an image in a known format", do=REMEDY) from None
    except Image.DecompressionBombError:
        raise DataError(
            f"{path}: the image has too many pixels",
            expected=f"at most {2 * (Image.MAX_IMAGE_PIXELS or 0)}",
            do="cut it into tiles",
        ) from None
    # Pillow's plugins raise many things on broken files: OSError, SyntaxError, ValueError,
    # struct.error, EOFError, zlib.error; whichever it is, this file is not readable.
    except Exception as error:
        raise DataError(f"{path}: the image cannot be decoded ({error})", do=REMEDY) from error


def orientation(image: Image.Image) -> int:
    """EXIF orientation of an opened image, 1 (upright) to 8; 1 when it says none."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # broken EXIF says nothing about the pixels, which may well be whole
        return 1
    return value if value in UPRIGHT else 1


def _to_rgb(image: Image.Image, path: str | Path) -> Image.Image:
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode == "F":
        raise DataError(
            f"{path}: the image holds floating-point values, whose black and white are unknown",
            do="convert it to 8 bits",
        )
    if mode == "I" or mode.startswith("I;16"):
        values = np.asarray(image, dtype=np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise DataError(f"{path}: the image holds 32-bit values", do="convert it to 8 bits")
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")
