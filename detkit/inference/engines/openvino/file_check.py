"""Validate an OpenVINO file before OpenVINO reads it: constants must lie within the weights file.

OpenVINO multiplies a constant's dimensions in 64 bits, and reads outside the weights if the product
overflows, which kills the process (a bus error in 2026.4.1).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.parsers import expat

from detkit.errors import ExportError
from detkit.inference.engines.ports import REEXPORT_HINT

# In bytes and layers; a detector has one to ten million bytes of XML and a few thousand layers.
MAX_TEXT_BYTES, MAX_LAYERS, MAX_DEPTH = 128 << 20, 50_000, 64
ELEMENT_BITS = {
    "boolean": 8, "u1": 1, "u2": 2, "u4": 4, "i4": 4, "nf4": 4, "f4e2m1": 4, "u8": 8, "i8": 8,
    "f8e4m3": 8, "f8e5m2": 8, "f8e8m0": 8, "u16": 16, "i16": 16, "f16": 16, "bf16": 16, "u32": 32,
    "i32": 32, "f32": 32, "u64": 64, "i64": 64, "f64": 64
}
OPSET = re.compile(r"opset[0-9]{1,3}")


def check_openvino_file(path: Path) -> None:
    """Check that an .xml file has only OpenVINO's layers, and constants within its .bin.

    Raises:
        ExportError: it has others, or is not XML.
    """
    size = path.stat().st_size
    if size > MAX_TEXT_BYTES:
        raise ExportError(f"{path}: its size", got=f"{size} bytes",
                          expected=f"at most {MAX_TEXT_BYTES}", hint=REEXPORT_HINT)
    weights = path.with_suffix(".bin")
    checker = _ModelFileChecker(weights.stat().st_size if weights.is_file() else 0)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = checker.start, checker.end
    parser.StartDoctypeDeclHandler = checker.doctype
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except (expat.ExpatError, ValueError) as error:
        raise ExportError(f"{path}: is not a valid OpenVINO model",
                          got=" ".join(str(error).split())[:200], hint=REEXPORT_HINT) from error


class _ModelFileChecker:
    """Handlers of an XML parser; they raise ValueError for invalid content."""

    def __init__(self, weights: int) -> None:
        self._weights = weights
        self._depth = self._layers = 0
        self._is_constant = False

    def doctype(self, *_: object) -> None:
        raise ValueError("a DOCTYPE")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"elements nested deeper than {MAX_DEPTH}")
        if tag == "layer":
            self._layers += 1
            if self._layers > MAX_LAYERS:
                raise ValueError(f"more than {MAX_LAYERS} layers")
            version = attributes.get("version", "")
            if not OPSET.fullmatch(version):
                raise ValueError(f"a layer of version {version[:40]!r}, expected one of OpenVINO's")
            self._is_constant = attributes.get("type") == "Const"
        elif tag == "data" and self._is_constant:
            self._check_constant(attributes)

    def end(self, tag: str) -> None:
        self._depth -= 1

    def _check_constant(self, attributes: dict[str, str]) -> None:
        try:
            dims = [int(dim) for dim in attributes["shape"].split(",") if dim.strip()]
            offset, size = int(attributes["offset"]), int(attributes["size"])
            bits = ELEMENT_BITS[attributes["element_type"]]
        except (KeyError, ValueError) as error:
            raise ValueError(f"an invalid constant ({error})") from error
        expected_size = -(-math.prod(dims) * bits // 8)
        if min([0, *dims]) < 0 or size != expected_size:
            raise ValueError(f"a constant of {size} bytes, expected {expected_size} by its shape")
        if offset < 0 or offset + size > self._weights:
            raise ValueError(f"a constant at {offset} to {offset + size} of {self._weights} bytes")
