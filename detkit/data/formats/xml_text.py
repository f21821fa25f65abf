"""Xml files in whatever encoding they declare, under whatever name tools know it by."""

from __future__ import annotations

import codecs
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from detkit.data.formats.read_file import MAX_XML_BYTES, read_file
from detkit.errors import DataError

_ENCODING_PATTERN = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([-.\w]+)["']""")
# What the parser raises for broken xml, for an encoding of several bytes, for an unknown one.
_PARSE_ERRORS = (ElementTree.ParseError, ValueError, LookupError)


def parse_xml(path: Path) -> ElementTree.Element:
    """The root element of an xml file.

    The parser knows few encodings of more than one byte, and none under a second name such as
    'utf8': where it fails, the text is decoded as the file declares before it is parsed.

    Raises:
        DataError: the file cannot be read, or is no xml.
    """
    content = read_file(path, MAX_XML_BYTES, "an xml describes one image")
    try:
        return ElementTree.fromstring(content)
    except _PARSE_ERRORS as error:
        text = _decode_declared(content)
        if text is not None:
            try:
                return ElementTree.fromstring(text)
            except _PARSE_ERRORS:
                pass
        raise DataError(f"{path}: not xml ({error})", expected="Pascal VOC") from error


def _decode_declared(content: bytes) -> str | None:
    """The text, decoded as the file itself declares; None when it does not, or wrongly."""
    content = content.removeprefix(codecs.BOM_UTF8)
    declared = _ENCODING_PATTERN.match(content)
    if declared is None:
        return None
    encoding = declared[1].decode("ascii", "replace")
    # A declaration that can be read byte by byte is not in UTF-16, whatever it says.
    if re.fullmatch(r"(?i)(utf-?|ucs-?)(16|32|2|4)(-?[lb]e)?", encoding):
        encoding = "utf-8"
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None
