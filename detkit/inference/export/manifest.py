"""``detkit.json``, the manifest of an exported folder, and its validation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detkit.checkpoints.file_kind import suggest_checkpoint
from detkit.errors import ExportError, format_error
from detkit.files import compute_sha256, special_file_type
from detkit.inference.engines.availability import PRECISIONS
from detkit.inference.engines.ports import REEXPORT_HINT
from detkit.inference.export.graph_file import graph_file_name
from detkit.inference.letterbox import (
    Padding,
    ResizeSpec,
    resize_spec_from_dict,
    resize_spec_to_dict,
)
from detkit.inference.output_folder import atomic_write_text

MANIFEST_NAME = "detkit.json"
VERSION = 1
FORMATS = ("openvino", "onnx", "torch")
# Limits far above what an export writes: bytes of the manifest, input sizes, files, numbers of the
# resize, pixels of an input, and results per image.
MAX_TEXT_BYTES, MAX_GRAPHS, MAX_FILES = 16 << 20, 64, 256
MAX_SIDE, MAX_PIXELS = 1 << 31, 1 << 26
MAX_RESULTS = 1_000_000


@dataclass(frozen=True)
class AccuracyReport:
    """The measured accuracy of an export.

    Args:
        checkpoint_ap: COCO box AP of the checkpoint in mmdet, 0 to 1.
        engine_ap: of the exported engine, on the same images.
        images: number of images.
        data: the data folder as the user named it, or the annotation file.
        max_ap_drop: the allowed AP drop in points of 0.01.
    """

    checkpoint_ap: float
    engine_ap: float
    images: int
    data: str
    max_ap_drop: float

    @property
    def drop(self) -> float:
        """AP drop of the engine in points of 0.01; negative for a gain."""
        return (self.checkpoint_ap - self.engine_ap) * 100


@dataclass(frozen=True)
class Manifest:
    """The content of ``detkit.json``.

    Args:
        format: 'openvino', 'onnx' or 'torch'.
        precision: 'f32', 'bf16' or 'int8'.
        classes: name of each label, in order.
        resize_spec: how images are resized to the input size.
        max_results: K, maximum number of detections per image.
        max_proposals: maximum number of RPN proposals passed to the RoI head; None for the
            config's.
        graphs: file name by input size (height, width), the most frequent size first.
        hashes: sha256 of every other file in the folder, by name.
        checkpoint_sha256: of the exported checkpoint.
        versions: of the libraries that wrote the folder, by name.
        accuracy: the measured accuracy; None before the evaluation.
    """

    format: str
    precision: str
    classes: tuple[str, ...]
    resize_spec: ResizeSpec
    max_results: int
    max_proposals: int | None
    graphs: Mapping[tuple[int, int], str]
    hashes: Mapping[str, str]
    checkpoint_sha256: str
    versions: Mapping[str, str] = field(default_factory=dict)
    accuracy: AccuracyReport | None = None

    def write(self, folder: Path) -> None:
        """Write ``detkit.json`` into the folder, atomically."""
        content = {
            "version": VERSION,
            "format": self.format,
            "precision": self.precision,
            "classes": list(self.classes),
            "rule": resize_spec_to_dict(self.resize_spec),
            "max_results": self.max_results,
            "max_proposals": self.max_proposals,
            "graphs": [{"canvas_hw": list(input_hw), "file": file}
                       for input_hw, file in self.graphs.items()],
            "hashes": dict(self.hashes),
            "checkpoint_sha256": self.checkpoint_sha256,
            "versions": dict(self.versions),
            "figures": asdict(self.accuracy) if self.accuracy else None,
        }
        atomic_write_text(folder / MANIFEST_NAME, json.dumps(content, indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Read and validate an exported folder's ``detkit.json``, and the hashes of its files.

    Raises:
        ExportError: the manifest is missing, not valid or of another version, or a file is missing
            or was changed.
    """
    path = folder / MANIFEST_NAME
    _check_regular_file(path)
    if not path.is_file():
        raise ExportError(f"{folder}: is not an exported engine", got=f"no {MANIFEST_NAME}",
                          expected="a folder that 'detkit export' wrote",
                          hint=suggest_checkpoint(folder))
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise ExportError(f"{path}: its size", got=f"{path.stat().st_size} bytes",
                          expected=f"at most {MAX_TEXT_BYTES}", hint=REEXPORT_HINT)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ExportError(f"{path}: cannot be read", got=_truncate(format_error(error)),
                          hint=REEXPORT_HINT) from error
    if version != VERSION:
        raise ExportError(f"{path}: the folder's version", got=_truncate(version), expected=VERSION,
                          hint=REEXPORT_HINT)
    try:
        manifest = _from_json(content)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise ExportError(f"{path}: a key is missing or has an invalid value",
                          got=_truncate(format_error(error)), hint=REEXPORT_HINT) from error
    if not manifest.graphs:
        raise ExportError(f"{path}: graphs", got="none", expected="at least one",
                          hint=REEXPORT_HINT)
    if manifest.format not in FORMATS:
        raise ExportError(f"{path}: format", got=_truncate(manifest.format),
                          expected=" or ".join(FORMATS), hint=REEXPORT_HINT)
    _check_sizes(path, manifest)
    for input_hw, name in manifest.graphs.items():
        if name != graph_file_name(manifest.format, input_hw):
            raise ExportError(f"{path}: the file for the size {input_hw[0]}x{input_hw[1]}",
                              got=_truncate(name),
                              expected=graph_file_name(manifest.format,
                                                       input_hw), hint=REEXPORT_HINT)
    for name in {*manifest.graphs.values(), *manifest.hashes}:
        _check_file(folder, name, manifest.hashes)
    return manifest


def _check_sizes(path: Path, manifest: Manifest) -> None:
    """Check the limits of numbers before anything of their size is allocated."""
    def fail(field_name: str, got: object, expected: str) -> None:
        raise ExportError(f"{path}: {field_name}", got=got, expected=expected, hint=REEXPORT_HINT)

    if len(manifest.graphs) > MAX_GRAPHS:
        fail("graphs", len(manifest.graphs), f"at most {MAX_GRAPHS}")
    if len(manifest.hashes) > MAX_FILES:
        fail("hashes", len(manifest.hashes), f"at most {MAX_FILES}")
    if not manifest.classes:
        fail("classes", "none", "at least one")
    if not 1 <= manifest.max_results <= MAX_RESULTS:
        fail("max_results", manifest.max_results, f"1 to {MAX_RESULTS}")
    if manifest.precision not in PRECISIONS:
        fail("precision", _truncate(manifest.precision), ", ".join(PRECISIONS))
    for height, width in manifest.graphs:
        if min(height, width) < 1 or height * width > MAX_PIXELS:
            fail("canvas_hw", f"{height}x{width}", f"at most {MAX_PIXELS} pixels")
    padding = manifest.resize_spec.padding or Padding()
    sides = [
        *manifest.resize_spec.scale, manifest.resize_spec.divisor, padding.divisor,
        *(padding.size_hw or ())
    ]
    if max(sides) > MAX_SIDE:
        fail("rule", max(sides), f"at most {MAX_SIDE}")


def _truncate(value: object) -> str:
    text = str(value)
    return text if len(text) <= 160 else text[:160] + "..."


def _check_regular_file(path: Path) -> None:
    file_type = special_file_type(path)
    if file_type is not None:
        raise ExportError(f"{path}: is {file_type}", expected="a file", hint=REEXPORT_HINT)


def _from_json(content: dict[str, Any]) -> Manifest:
    resize_spec = content["rule"]
    accuracy = content["figures"]
    return Manifest(
        format=content["format"],
        precision=content["precision"],
        classes=tuple(str(name) for name in content["classes"]),
        resize_spec=resize_spec_from_dict(resize_spec),
        max_results=int(content["max_results"]),
        max_proposals=content["max_proposals"],
        graphs={(int(entry["canvas_hw"][0]), int(entry["canvas_hw"][1])): str(entry["file"])
                for entry in content["graphs"]},
        hashes={str(name): str(value) for name, value in content["hashes"].items()},
        checkpoint_sha256=str(content["checkpoint_sha256"]),
        versions=dict(content["versions"]),
        accuracy=AccuracyReport(**accuracy) if accuracy else None,
    )


def _check_file(folder: Path, name: str, hashes: Mapping[str, str]) -> None:
    # A name with a path could point outside the folder.
    path = folder / Path(name).name
    _check_regular_file(path)
    if Path(name).name != name or not path.is_file():
        raise ExportError(f"{folder}: the file {_truncate(name)} is missing", hint=REEXPORT_HINT)
    if compute_sha256(path) != hashes.get(name):
        raise ExportError(f"{path}: was changed after the export", got="another sha256",
                          hint=REEXPORT_HINT)
