"""Read image files as upright RGB arrays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from detkit.data.images.deep_color import is_deep_color, rescale_deep_color
from detkit.data.images.image_formats import (
    CAMERA_RAW_SUFFIXES,
    describe_unknown_format,
    is_heif,
    read_file_header,
    register_heif,
)
from detkit.data.images.open_image import check_scans, open_image
from detkit.data.images.read_notes import ImageNote, NoteCallback, log_once
from detkit.data.images.sixteen_bits import to_uint8
from detkit.errors import DataError

ORIENTATION_TAG = 0x0112
NEW_SUBFILE_TYPE = 254  # TIFF 6.0; bit 0: a smaller copy of another page, bit 2: a mask
COPY_OR_MASK = 0b101
# Formats whose frames can only be counted one by one.
MULTI_FRAME_FORMATS = ("TIFF", "GIF")
# A small file may hold millions of frames, which would all be counted.
MAX_COUNTED_FRAMES = 100
# Pixels that are decoded to count frames, and that are composited on white at a time.
MAX_PIXELS_PER_CHUNK = 1 << 24
UNREADABLE_HINT = "download the file again, or remove it together with its annotations"
IMG_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif",
     ".ppm", ".pgm", ".pbm", ".mpo", ".avif", ".jp2"}
)

# The transposition that makes an image of each EXIF orientation upright (EXIF 2.3, tag 0x0112).
EXIF_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str | Path, on_note: NoteCallback | None = None) -> NDArray[np.uint8]:
    """Read an image file as upright RGB.

    EXIF orientation is applied. Gray, palette, CMYK and 1-bit images are converted to RGB; 16-bit
    images are reduced by `to_uint8`; transparent images are composited on white. Of several pages
    or frames the first is read.

    Args:
        path: the file.
        on_note: receives notes on how the file was read, such as further frames or scaled 16-bit
            values. None logs the first note of each code.

    Returns:
        (H, W, 3) uint8, RGB, C-contiguous.

    Raises:
        DataError: the file is missing, not an image, truncated, a camera raw file, has
            floating-point values, or more pixels than ``pixel_limit.max_pixels``.
    """
    if not os.path.exists(path) or os.path.isdir(path):
        raise DataError(f"{path}: no such image file")
    if Path(path).suffix.lower() in CAMERA_RAW_SUFFIXES:
        raise DataError(f"{path}: a camera raw file, of which only the preview can be read",
                        hint="convert it to JPEG or TIFF")
    on_note = log_once(path) if on_note is None else on_note
    try:
        return _decode(path, on_note)
    except UnidentifiedImageError:
        header = read_file_header(path)
        if not (is_heif(header) and register_heif()):
            description, hint = describe_unknown_format(header)
            raise DataError(f"{path}: {description}", hint=hint or UNREADABLE_HINT) from None
    except Exception as error:
        raise _decode_error(error, path) from error
    try:
        return _decode(path, on_note)
    except Exception as error:
        raise _decode_error(error, path) from error


def _decode_error(error: Exception, path: str | Path) -> DataError:
    if isinstance(error, DataError):
        return error
    if isinstance(error, MemoryError):
        return DataError(f"{path}: not enough memory to decode the image",
                         hint="cut it into tiles")
    # Pillow's plugins raise many types on invalid files: OSError, SyntaxError, ValueError,
    # struct.error, EOFError, zlib.error.
    return DataError(f"{path}: the image cannot be decoded ({error})", hint=UNREADABLE_HINT)


def _decode(path: str | Path, on_note: NoteCallback) -> NDArray[np.uint8]:
    with open_image(path) as image:
        check_scans(image, path)
        frames, is_deep = frame_count(image), is_deep_color(image)
        image.load()
        if frames > 1:
            noun = "pages" if image.format == "TIFF" else "frames"
            at_least = "at least " * (image.format in MULTI_FRAME_FORMATS
                                      and frames == _max_counted_frames(image))
            on_note(ImageNote("more_frames", f"it has {at_least}{frames} {noun}, of which the "
                              "first is read", "first one read"))
        rescaled = rescale_deep_color(image, path, on_note) if is_deep else None
        rgb = _to_rgb(image if rescaled is None else rescaled, path, on_note)
        return _upright_array(rgb, orientation(image))


def pillow_to_rgb(image: Image.Image, name: str, on_note: NoteCallback | None = None
                  ) -> NDArray[np.uint8]:
    """Convert a PIL image as `read_image` converts a file's: upright, in RGB, over white.

    Args:
        image: of any mode that `read_image` reads, decoded or not; its current frame is used.
        name: what to call the image in a message.
        on_note: as of `read_image`.

    Returns:
        (H, W, 3) uint8, RGB, C-contiguous.

    Raises:
        DataError: the image cannot be decoded, or has another mode.
    """
    on_note = log_once(name) if on_note is None else on_note
    try:
        image.load()
        return _upright_array(_to_rgb(image, name, on_note), orientation(image))
    except Exception as error:
        raise _decode_error(error, name) from error


def _upright_array(rgb: Image.Image, exif_orientation: int) -> NDArray[np.uint8]:
    transposition = EXIF_TRANSPOSE.get(exif_orientation)
    return np.array(rgb if transposition is None else rgb.transpose(transposition))


def frame_count(image: Image.Image) -> int:
    """The number of frames or pages of an opened image, without copies of other frames.

    Further images of a JPEG file (MPO) are views and previews of the first, and pages of a TIFF
    file may be marked as smaller copies or masks: they are not counted. Of TIFF and GIF files at
    most 100 are counted, and fewer large GIF frames.
    """
    if image.format == "MPO":
        return 1
    try:
        if image.format not in MULTI_FRAME_FORMATS:
            return int(getattr(image, "n_frames", 1))
        count = 1
        if getattr(image, "is_animated", False):
            count = _count_pages(image, _max_counted_frames(image))
        image.seek(0)
        return count
    except Exception:  # a later frame is invalid; the first one may be valid
        image.seek(0)
        return 1


def _max_counted_frames(image: Image.Image) -> int:
    if image.format != "GIF":
        return MAX_COUNTED_FRAMES
    # Its frames are decoded one after the other.
    return min(MAX_COUNTED_FRAMES, max(2, MAX_PIXELS_PER_CHUNK // (image.width * image.height)))


def _count_pages(image: Image.Image, max_frames: int) -> int:
    """The number of the first ``max_frames`` frames that are not copies or masks, at least 1."""
    count = 0
    for page in range(max_frames):
        try:
            image.seek(page)
        except EOFError:
            break
        tags: Any = getattr(image, "tag_v2", {})
        count += not int(tags.get(NEW_SUBFILE_TYPE, 0)) & COPY_OR_MASK
    return max(1, count)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of an opened image, 1 (upright) to 8; 1 where it has none."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # EXIF is invalid; the pixels may be valid
        return 1
    return value if value in EXIF_TRANSPOSE else 1


def _to_rgb(image: Image.Image, path: str | Path, on_note: NoteCallback) -> Image.Image:
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode == "F":
        raise DataError(
            f"{path}: the image has floating-point values of unknown range",
            hint="convert it to 8 bits",
        )
    if mode == "I" or mode.startswith("I;16"):
        values = np.asarray(image)
        if mode == "I" and (values.min() < 0 or values.max() > 65535):
            raise DataError(f"{path}: the image has 32-bit values",
                            got=f"{values.min()} to {values.max()}", expected="0 to 65535",
                            hint="convert it to 8 bits")
        gray, note = to_uint8(values)
        if note is not None:
            on_note(note)
        return Image.fromarray(gray).convert("RGB")
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return _composite_on_white(image)
    return image.convert("RGB")


def _composite_on_white(image: Image.Image) -> Image.Image:
    """Composite a transparent image on white, in chunks of rows: it takes 16 bytes per pixel."""
    result = Image.new("RGB", image.size)
    rows = max(1, MAX_PIXELS_PER_CHUNK // image.width)
    for top in range(0, image.height, rows):
        rgba = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        background = Image.new("RGBA", rgba.size, "white")
        result.paste(Image.alpha_composite(background, rgba).convert("RGB"), (0, top))
    return result
