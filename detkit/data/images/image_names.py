"""Readings of an image's name in annotations: either slash, percent-encoding, URLs, last part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import unquote

from detkit.data.images.read_image import IMG_EXTENSIONS

AS_IS = ""
BACKSLASHES = "with backslashes read as '/'"
DECODED = "with their percent-encoding decoded"
URL_PATH = "as the path inside a URL"
BY_BASENAME = "by the last part of their paths alone"
BY_DECODED_BASENAME = "by the last part of their decoded paths alone"


def name_variants(name: str) -> Iterator[tuple[str, str]]:
    """The paths that a name can stand for, each with how it is read; the name itself first.

    All of them mean the same file: tools write '\\' for '/', '%20' for a blank, and
    '/data/local-files/?d=a/b.jpg' for 'a/b.jpg'.

    Args:
        name: as the annotations give it; not empty.

    Yields:
        How the name is read, one of this module's constants, and the path, with '/' between
        its parts unless it is the name itself.
    """
    yield AS_IS, name
    path = name.replace("\\", "/")
    if path != name:
        yield BACKSLASHES, path
    decoded = _decode(path)
    if decoded != path:
        yield DECODED, decoded
    if "://" in path or "?" in path:
        yield from ((URL_PATH, inner) for inner in _inside_url(path))


def basenames(name: str) -> Iterator[tuple[str, str]]:
    """The last part of each of a name's readings, with how it was come by."""
    for variant, path in name_variants(name):
        yield BY_DECODED_BASENAME if variant in (DECODED, URL_PATH) else BY_BASENAME, basename(path)


def basename(path: str) -> str:
    """What stands behind the last slash of either kind."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def canonical_name(name: str) -> str:
    """The last reading of a name: equal for two names that mean the same file."""
    *_, (_, path) = name_variants(name)
    return path


def _inside_url(path: str) -> Iterator[str]:
    """Paths to images in a URL: the values of its query, then the URL without query and scheme."""
    address, _, query = path.partition("?")
    for item in query.split("&"):
        value = _decode(item.partition("=")[2])
        if _is_image(value):
            yield value
    address = _decode(address)
    if _is_image(address):
        yield address.removeprefix("file://")


def _is_image(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in IMG_EXTENSIONS


def _decode(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:  # a '%' of its own, or bytes in another encoding
        return text
