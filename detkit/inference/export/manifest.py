"""``detkit.json``: what an exported folder says of itself, and the check that it is so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detkit.errors import ExportError, with_kind
from detkit.files import sha256_of, special_file
from detkit.inference.engines.availability import PRECISIONS
from detkit.inference.engines.ports import AGAIN
from detkit.inference.export.graph_file import file_name
from detkit.inference.letterbox import Border, InputRule, rule_from
from detkit.inference.output_folder import write_text

NAME = "detkit.json"
VERSION = 1
FORMATS = ("openvino", "onnx", "torch")
# Far beyond what an export writes: bytes of this file, canvases, files, a rule's number, pixels of
# a canvas, and results.
MOST_TEXT, MOST_GRAPHS, MOST_FILES = 16 << 20, 64, 256
MOST_SIDE, MOST_PIXELS = 1 << 31, 1 << 26
MOST_RESULTS = 1_000_000


@dataclass(frozen=True)
class Figures:
    """What the gate measured.

    Args:
        checkpoint_ap: COCO's box AP of the checkpoint in mmdet's own hands, 0 to 1.
        engine_ap: of the exported engine, on the same pictures.
        images: how many.
        data: what they are of: the folder as it was named, or the annotation file.
        max_ap_drop: how many points of 0.01 AP the engine might have lost.
    """

    checkpoint_ap: float
    engine_ap: float
    images: int
    data: str
    max_ap_drop: float

    @property
    def drop(self) -> float:
        """Points of 0.01 AP that the engine lost; below 0 where it gained."""
        return (self.checkpoint_ap - self.engine_ap) * 100


@dataclass(frozen=True)
class Manifest:
    """The content of ``detkit.json``.

    Args:
        format: 'openvino', 'onnx' or 'torch'.
        precision: 'f32', 'bf16' or 'int8'.
        classes: name of each label, in order.
        rule: how pictures are brought to the canvas.
        max_results: K, detections of a picture at most.
        max_proposals: those that reach the second stage at most; None for the config's number.
        graphs: the file of each canvas, by (height, width), the most frequent first.
        hashes: the sha256 of every file in the folder but this one, by name.
        checkpoint_sha256: of the file that was exported.
        versions: of the libraries that made it, by name.
        figures: what the gate measured; None before it did.
    """

    format: str
    precision: str
    classes: tuple[str, ...]
    rule: InputRule
    max_results: int
    max_proposals: int | None
    graphs: Mapping[tuple[int, int], str]
    hashes: Mapping[str, str]
    checkpoint_sha256: str
    versions: Mapping[str, str] = field(default_factory=dict)
    figures: Figures | None = None

    def write(self, folder: Path) -> None:
        """Write ``detkit.json`` into the folder, whole or not at all."""
        content = {
            "version": VERSION,
            "format": self.format,
            "precision": self.precision,
            "classes": list(self.classes),
            "rule": asdict(self.rule),
            "max_results": self.max_results,
            "max_proposals": self.max_proposals,
            "graphs": [{"canvas_hw": list(canvas), "file": file}
                       for canvas, file in self.graphs.items()],
            "hashes": dict(self.hashes),
            "checkpoint_sha256": self.checkpoint_sha256,
            "versions": dict(self.versions),
            "figures": asdict(self.figures) if self.figures else None,
        }
        write_text(folder / NAME, json.dumps(content, indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Read an exported folder's ``detkit.json`` and check that its files are those it names.

    Raises:
        ExportError: there is none, it cannot be understood, is of another version, or a file is
            missing or another than was written.
    """
    path = folder / NAME
    _refuse_special(path)
    if not path.is_file():
        raise ExportError(f"{folder}: no exported engine", got=f"no {NAME} in it",
                          expected="a folder that 'detkit export' wrote")
    if path.stat().st_size > MOST_TEXT:
        raise ExportError(f"{path}: its size", got=f"{path.stat().st_size} bytes",
                          expected=f"at most {MOST_TEXT}", do=AGAIN)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ExportError(f"{path}: cannot be read", got=_short(with_kind(error)),
                          do=AGAIN) from error
    if version != VERSION:
        raise ExportError(f"{path}: the folder's version", got=_short(version), expected=VERSION,
                          do=AGAIN)
    try:
        manifest = _from_json(content)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise ExportError(f"{path}: something in it is missing or of another kind",
                          got=_short(with_kind(error)), do=AGAIN) from error
    if not manifest.graphs:
        raise ExportError(f"{path}: graphs", got="none", expected="at least one", do=AGAIN)
    if manifest.format not in FORMATS:
        raise ExportError(f"{path}: format", got=_short(manifest.format),
                          expected=" or ".join(FORMATS), do=AGAIN)
    _check_sizes(path, manifest)
    for canvas, name in manifest.graphs.items():
        if name != file_name(manifest.format, canvas):
            raise ExportError(f"{path}: the file of the size {canvas[0]}x{canvas[1]}",
                              got=_short(name), expected=file_name(manifest.format, canvas),
                              do=AGAIN)
    for name in {*manifest.graphs.values(), *manifest.hashes}:
        _check_file(folder, name, manifest.hashes)
    return manifest


def _check_sizes(path: Path, held: Manifest) -> None:
    """Refuse numbers that no export writes, before anything of their size is made."""
    def refuse(what: str, got: object, expected: str) -> None:
        raise ExportError(f"{path}: {what}", got=got, expected=expected, do=AGAIN)

    if len(held.graphs) > MOST_GRAPHS:
        refuse("graphs", len(held.graphs), f"at most {MOST_GRAPHS}")
    if len(held.hashes) > MOST_FILES:
        refuse("hashes", len(held.hashes), f"at most {MOST_FILES}")
    if not held.classes:
        refuse("classes", "none", "at least one")
    if not 1 <= held.max_results <= MOST_RESULTS:
        refuse("max_results", held.max_results, f"1 to {MOST_RESULTS}")
    if held.precision not in PRECISIONS:
        refuse("precision", _short(held.precision), ", ".join(PRECISIONS))
    for high, wide in held.graphs:
        if min(high, wide) < 1 or high * wide > MOST_PIXELS:
            refuse("canvas_hw", f"{high}x{wide}", f"at most {MOST_PIXELS} pixels")
    border = held.rule.border or Border()
    sides = [*held.rule.scale, held.rule.divisor, border.divisor, *(border.size_hw or ())]
    if max(sides) > MOST_SIDE:
        refuse("rule", max(sides), f"at most {MOST_SIDE}")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 160 else text[:160] + "..."


def _refuse_special(path: Path) -> None:
    kind = special_file(path)
    if kind is not None:
        raise ExportError(f"{path}: is {kind}", expected="a file", do=AGAIN)


def _from_json(content: dict[str, Any]) -> Manifest:
    rule = content["rule"]
    figures = content["figures"]
    return Manifest(
        format=content["format"],
        precision=content["precision"],
        classes=tuple(str(name) for name in content["classes"]),
        rule=rule_from(rule),
        max_results=int(content["max_results"]),
        max_proposals=content["max_proposals"],
        graphs={(int(one["canvas_hw"][0]), int(one["canvas_hw"][1])): str(one["file"])
                for one in content["graphs"]},
        hashes={str(name): str(value) for name, value in content["hashes"].items()},
        checkpoint_sha256=str(content["checkpoint_sha256"]),
        versions=dict(content["versions"]),
        figures=Figures(**figures) if figures else None,
    )


def _check_file(folder: Path, name: str, hashes: Mapping[str, str]) -> None:
    # A name with a path in it would lead out of the folder.
    path = folder / Path(name).name
    _refuse_special(path)
    if Path(name).name != name or not path.is_file():
        raise ExportError(f"{folder}: the file {_short(name)} is missing", do=AGAIN)
    if sha256_of(path) != hashes.get(name):
        raise ExportError(f"{path}: is not the file that was exported", got="another sha256",
                          do=AGAIN)
