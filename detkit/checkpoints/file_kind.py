"""What a file is that is no checkpoint, in words, for a message."""

from __future__ import annotations

from pathlib import Path

from detkit.errors import WeightsError
from detkit.files import special_file_type

PUBLISHED_NAME = "best.pth"  # the checkpoint of a work dir that other commands take
_BY_SUFFIX = {
    ".onnx": "an ONNX model", ".xml": "an XML file", ".engine": "a TensorRT engine",
    ".plan": "a TensorRT engine", ".tflite": "a TensorFlow Lite model",
    ".h5": "a Keras model", ".keras": "a Keras model", ".pb": "a TensorFlow model",
}
_BY_CONTENT = {
    b"\xff\xd8\xff": "a JPEG image", b"\x89PNG": "a PNG image", b"GIF8": "a GIF image",
    b"\x89HDF": "an HDF5 file", b"%PDF": "a PDF file", b"\x1f\x8b": "a gzip archive",
    b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive", b"\x7fELF": "a program",
}
_EXPORTED = {".onnx", ".xml", ".engine", ".plan"}
_CHECKED_BYTES = 2048


def describe_file(file: Path) -> str | None:
    """Say what a file is by its suffix and first bytes; None if that is not known."""
    if file.suffix.lower() in _BY_SUFFIX:
        return _BY_SUFFIX[file.suffix.lower()]
    try:
        with file.open("rb") as stream:
            start = stream.read(_CHECKED_BYTES)
    except OSError:
        return None
    if not start:
        return "an empty file"
    for magic, kind in _BY_CONTENT.items():
        if start.startswith(magic):
            return kind
    if start[4:8] == b"ftyp":
        return "a video"
    # Pickles have control characters within their first bytes.
    is_text = all(byte >= 32 or byte in b"\t\n\r\f" for byte in start)
    return "a text file" if is_text else None


def is_exported_model(file: Path) -> bool:
    """Whether a file may be the model of a folder that ``detkit export`` wrote."""
    return file.suffix.lower() in _EXPORTED


def suggest_checkpoint(folder: Path) -> str | None:
    """For a folder in place of a checkpoint: a hint that names the one inside; None without one."""
    best = folder / PUBLISHED_NAME
    return f"did you mean '{best}'?" if best.is_file() else None


def missing_file_error(file: Path, name: str | None = None) -> WeightsError:
    """The error for a checkpoint that is a folder, a special file, or is not there.

    Args:
        file: the path.
        name: what the user gave; None for the path.
    """
    return WeightsError(
        f"checkpoint '{file if name is None else name}'",
        got="a folder" if file.is_dir() else special_file_type(file) or "no such file",
        hint=suggest_checkpoint(file) or "pass the path of a .pth or .safetensors file",
    )
