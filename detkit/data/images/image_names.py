"""Variants of an image name in annotations: slashes, percent-encoding, URLs, base names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import unquote

from detkit.data.images.read_image import IMG_EXTENSIONS

AS_IS = ""
BACKSLASHES = "with backslashes replaced by '/'"
DECODED = "with percent-encoding decoded"
URL_PATH = "by the path in a URL"
BY_BASENAME = "by their base names"
BY_DECODED_BASENAME = "by their decoded base names"


def name_variants(name: str) -> Iterator[tuple[str, str]]:
    """The paths that a name can mean, each with the type of variant; the name itself first.

    Annotation tools write '\\' for '/', '%20' for a space, and '/data/local-files/?d=a/b.jpg' for
    'a/b.jpg'.

    Args:
        name: as in the annotations; not empty.

    Yields:
        The type of variant, one of this module's constants, and the path, with '/' as separator
        unless it is the name itself.
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
    """The base name of each variant of a name, with its type."""
    for variant, path in name_variants(name):
        yield BY_DECODED_BASENAME if variant in (DECODED, URL_PATH) else BY_BASENAME, basename(path)


def basename(path: str) -> str:
    """The part of a path after the last '/' or '\\'."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def canonical_name(name: str) -> str:
    """The last variant of a name: equal for two names that mean the same file."""
    *_, (_, path) = name_variants(name)
    return path


def _inside_url(path: str) -> Iterator[str]:
    """Image paths in a URL: the values of its query, then the URL without query and scheme."""
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
    except UnicodeDecodeError:  # a literal '%', or bytes in another encoding
        return text
