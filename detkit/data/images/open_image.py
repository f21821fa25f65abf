"""Open image files of known formats, up to a limit of pixels stated in the header."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from PIL import Image

from detkit.data.images.pixel_limit import MAX_PIXELS_FLAG, max_pixels
from detkit.errors import DataError
from detkit.files import special_file_type

# Formats that are decoded in this process; Pillow decodes others by other programs, such as EPS by
# Ghostscript. The common ones first, as they are tried in this order.
PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "AVIF", "JPEG2000",
                  "MPO", "HEIF", "ICO", "PSD", "PCX", "SGI", "TGA")
_PILLOW_LIMIT = Image.MAX_IMAGE_PIXELS
_known_pillow_limits = {_PILLOW_LIMIT}
# Each scan is decoded over the full image and may be a few bytes long; encoders write about ten.
MAX_SCANS = 500
START_OF_SCAN = b"\xff\xda"
CHUNK_BYTES = 1 << 20

# Images for which Pillow only warns are checked against the limit below.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def open_image(path: str | Path) -> Image.Image:
    """Open an image file without decoding it.

    Raises:
        DataError: it is not a regular file, or its header states more pixels than ``max_pixels``.
        UnidentifiedImageError: it is not an image in a known format.
        OSError, SyntaxError, ValueError, ...: from Pillow, for invalid files.
    """
    file_type = special_file_type(path)
    if file_type is not None:
        raise DataError(f"{path}: it is {file_type}, not an image file", hint="remove it")
    limit = max_pixels()
    _raise_pillow_limit(limit)
    try:
        image = _open(path)
    except Image.DecompressionBombError as error:
        pixel_count = re.search(r"\d+", str(error))
        size = pixel_count[0] if pixel_count else str(error)
        raise too_many_pixels_error(path, size, limit) from None
    width, height = image.size
    if width * height > limit:
        image.close()
        raise too_many_pixels_error(path, f"{width} x {height}", limit)
    return image


def header_wh(path: str | Path) -> tuple[int, int] | None:
    """Width and height in pixels in the header of an image file, as stored.

    None where they cannot be read; reading the file raises the error.
    """
    try:
        with _open(path) as image:
            return image.size
    except Exception:  # Pillow's plugins raise many types on invalid files
        return None


def _open(path: str | Path) -> Image.Image:
    Image.init()
    return Image.open(path, formats=[name for name in PILLOW_FORMATS if name in Image.OPEN])


def _raise_pillow_limit(limit: int) -> None:
    """Raise Pillow's limit of pixels to ``limit``; a limit that a program set itself is kept.

    Pillow's limit is global to the process. It rejects images of more than twice its value, also
    frames and icons inside of a file.
    """
    current = Image.MAX_IMAGE_PIXELS
    if current is not None and current < limit and current in _known_pillow_limits:
        _known_pillow_limits.add(limit)
        Image.MAX_IMAGE_PIXELS = limit


def too_many_pixels_error(path: str | Path, size: str, limit: int) -> DataError:
    """The error for an image with more pixels than the limit."""
    return DataError(f"{path}: the image has too many pixels", got=size,
                     expected=f"at most {limit:,}",
                     hint=f"cut it into tiles, or allow more with {MAX_PIXELS_FLAG}")


def check_scans(image: Image.Image, path: str | Path) -> None:
    """Check that a progressive JPEG does not have so many scans that decoding takes minutes.

    Raises:
        DataError: it has more than 500 scans.
    """
    if not image.info.get("progressive"):
        return
    count, last_byte = 0, b""
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            count += (last_byte + chunk).count(START_OF_SCAN)
            last_byte = chunk[-1:]
    if count > MAX_SCANS:
        raise DataError(f"{path}: the progressive JPEG has {count} scans, which take too long to "
                        "decode", expected=f"at most {MAX_SCANS}", hint="save it again")
