"""What is given in place of a checkpoint is named."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from detkit.checkpoints.file_kind import describe_file
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.errors import WeightsError


def _png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG")
    return stream.getvalue()


def _torch(**args: Any) -> bytes:
    stream = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, stream, **args)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("notes.txt", b"hello\n", "a text file"),
        ("config.pth", b"model = dict(type='FasterRCNN')\n" * 200, "a text file"),
        ("model.onnx", b"\x08\x0a\x12\x07pytorch", "an ONNX model"),
        ("photo.pth", _png(), "a PNG image"),
        ("empty.pth", b"", "an empty file"),
        ("clip.pt", b"\x00\x00\x00\x20ftypisom", "a video"),
    ],
)
def test_other_files_are_named(name: str, content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert describe_file(path) == kind
    with pytest.raises(WeightsError, match=f"got {kind}, expected a .pth or .safetensors file"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [
    _torch(), _torch(_use_new_zipfile_serialization=False), b"\x80\x02}q\x00."])
def test_checkpoints_are_nothing_else(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    assert describe_file(path) is None


def test_a_work_dir_names_its_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="got a folder; pass the path"):
        load_checkpoint(tmp_path)
    (tmp_path / "best.pth").write_bytes(_torch())
    with pytest.raises(WeightsError, match=f"got a folder; did you mean '{tmp_path}/best.pth'"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("value", [b"best.pth", 3, None, ["best.pth"]])
def test_other_types_are_named(value: Any) -> None:
    with pytest.raises(WeightsError, match=f"got a value of type {type(value).__name__}"):
        load_checkpoint(value)
