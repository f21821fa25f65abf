"""Readings of an image's name in annotations: either slash, percent-encoding, URLs, last part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import unquote

from detkit.data.images.read_image import SUFFIXES

AS_IS = ""
SLASHES = "with backslashes read as '/'"
DECODED = "with their percent-encoding decoded"
QUERY = "as the path inside a URL"
LAST_PART = "by the last part of their paths alone"
LAST_DECODED = "by the last part of their decoded paths alone"


def readings(name: str) -> Iterator[tuple[str, str]]:
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
        yield SLASHES, path
    decoded = _decode(path)
    if decoded != path:
        yield DECODED, decoded
    if "://" in path or "?" in path:
        yield from ((QUERY, inner) for inner in _inside_url(path))


def last_parts(name: str) -> Iterator[tuple[str, str]]:
    """The last part of each of a name's readings, with how it was come by."""
    for how, path in readings(name):
        yield LAST_DECODED if how in (DECODED, QUERY) else LAST_PART, last_part(path)


def last_part(path: str) -> str:
    """What stands behind the last slash of either kind."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def plainest(name: str) -> str:
    """The last reading of a name: equal for two names that mean the same file."""
    *_, (_, path) = readings(name)
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
    return os.path.splitext(path)[1].lower() in SUFFIXES


def _decode(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:  # a '%' of its own, or bytes in another encoding
        return text
