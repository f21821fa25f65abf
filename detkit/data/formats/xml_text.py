"""Parse xml files in the encoding that they declare, under any of its names."""

from __future__ import annotations

import codecs
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from detkit.data.formats.read_file import MAX_XML_BYTES, read_file
from detkit.errors import DataError

_ENCODING_PATTERN = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([-.\w]+)["']""")
# Raised for invalid xml, for a multi-byte encoding, and for an unknown encoding.
_PARSE_ERRORS = (ElementTree.ParseError, ValueError, LookupError)


def parse_xml(path: Path) -> ElementTree.Element:
    """The root element of an xml file.

    The parser supports few multi-byte encodings, and no aliases such as 'utf8'. Where it fails,
    the text is decoded in the declared encoding first, and parsed again.

    Raises:
        DataError: the file cannot be read, or is not xml.
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
    """The text in the encoding that the file declares; None where it declares none or a wrong
    one."""
    content = content.removeprefix(codecs.BOM_UTF8)
    declared = _ENCODING_PATTERN.match(content)
    if declared is None:
        return None
    encoding = declared[1].decode("ascii", "replace")
    # A declaration that is readable as ASCII is not UTF-16 or UTF-32, whatever it says.
    if re.fullmatch(r"(?i)(utf-?|ucs-?)(16|32|2|4)(-?[lb]e)?", encoding):
        encoding = "utf-8"
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None
