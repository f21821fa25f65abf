"""Image formats that Pillow alone does not read, detected by the first bytes or the suffix."""

from __future__ import annotations

from pathlib import Path

from detkit.files import open_regular

HEADER_BYTES = 32
# Pillow would read the small preview of a camera raw file instead of the image.
CAMERA_RAW_SUFFIXES = frozenset({
    ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".orf", ".rw2", ".raf", ".pef",
    ".srw", ".3fr", ".iiq"
})
# Other image formats, which are not read from data sets.
OTHER_IMAGE_SUFFIXES = CAMERA_RAW_SUFFIXES | {
    ".heic", ".heif", ".hif", ".heics", ".heifs", ".avifs", ".jxl", ".jxr", ".wdp", ".psd", ".psb",
    ".tga", ".exr", ".hdr", ".pnm", ".j2k", ".j2c", ".jpx", ".apng", ".dcm"
}
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
JPEG_XL_SIGNATURES = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
IMAGE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*",
                    b"\0\0\0\x0cjP  \r\n\x87\n", JPEG_XL_SIGNATURES[1])


def is_image_like(path: Path) -> bool:
    """Whether a file without a common image suffix is an image, of a supported format or not."""
    if path.suffix.lower() in OTHER_IMAGE_SUFFIXES:
        return True
    header = read_file_header(path)
    return (header.startswith(IMAGE_SIGNATURES) or is_heif(header)
            or (header[:4] == b"RIFF" and header[8:12] == b"WEBP")
            or header[4:12] in (b"ftypavif", b"ftypavis"))


def read_file_header(path: str | Path) -> bytes:
    """The first bytes of a file; empty when it cannot be read, or is a pipe or device."""
    try:
        with open_regular(path) as file:
            return file.read(HEADER_BYTES)
    except OSError:
        return b""


def is_heif(header: bytes) -> bool:
    """Whether the first bytes are those of a HEIC or HEIF image."""
    return header[4:8] == b"ftyp" and header[8:12] in HEIF_BRANDS


def register_heif() -> bool:
    """Register pillow-heif with Pillow; False when it is not installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def describe_unknown_format(header: bytes) -> tuple[str, str | None]:
    """What a file of unknown format is, and a hint; None for the default hint."""
    if not header:
        return "the file is empty", None
    if is_heif(header):
        return ("a HEIC image, which needs pillow-heif",
                "run: pip install pillow-heif, or convert it to JPEG")
    if header.startswith(JPEG_XL_SIGNATURES):
        return "a JPEG XL image, which cannot be read here", "convert it to PNG or JPEG"
    if header.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page, not an image", None
    return "not an image in a known format", None
