"""A small checkpoint whose model or pipeline needs too much memory is rejected in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import thumbnail_checkpoint
import torch

from detkit import Predictor
from detkit.engine.load_model import load_model
from detkit.errors import DetkitError
from detkit.inference.export.checkpoint_graphs import CheckpointGraphs
from detkit.machine.memory import available_memory

IMAGE = np.zeros((60, 80, 3), np.uint8)
RESIZE = "dict(type='Resize', scale=(96, 96), keep_ratio=True)"


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("thumbnail") / "model.pth"
    held: dict[str, Any] = torch.load(
        thumbnail_checkpoint.save_thumbnail(path), weights_only=True)
    return held


def _saved(content: dict[str, Any], folder: Path, old: str, new: str) -> Path:
    text = thumbnail_checkpoint.CONFIG.replace(old, new)
    assert text != thumbnail_checkpoint.CONFIG
    path = folder / "file.pth"
    torch.save({**content, "meta": {**content["meta"], "cfg": text}}, path)
    return path


# Each would need from 5 GB on; the bound is 1 GiB and 4 times the file.
@pytest.mark.parametrize(("old", "new", "message"), [
    ("num_classes=3", "num_classes=100000000", "at most 1,07"),
    ("feat_channels=16", "feat_channels=30000, num_convs=2", "at most 1,07"),
    ("fc_out_channels=32", "fc_out_channels=40000", "at most 1,07"),
    pytest.param("feat_channels=16", "feat_channels=16, num_convs=90000000",
                 "operations on tensors", marks=pytest.mark.slow),
    ("num_outs=5", "num_outs=1000000000", "at most 100,000,000"),
])
def test_model_far_larger_than_its_weights_is_rejected(
    content: dict[str, Any], tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = _saved(content, tmp_path, old, new)
    free = available_memory()
    with pytest.raises(DetkitError, match=message):
        load_model(path, "cpu")
    assert available_memory() > free - (3 << 30)


@pytest.mark.parametrize("step", [
    "dict(type='Resize', scale=(100000, 100000))",
    "dict(type='Resize', scale=(1000000, 1000000), keep_ratio=True)",
    "dict(type='Resize', scale_factor=1000.0)",
    ", ".join(["dict(type='Resize', scale_factor=4.0)"] * 6),
    "dict(type='RandomApply', prob=1.0, transforms=[dict(type='Resize', scale_factor=(9., 9.))])",
    "dict(type='Pad', size_divisor=100000)",
    "dict(type='torchvision/Resize', size=(100000, 100000))",
])
def test_pipeline_with_huge_upscaling_is_rejected(
    content: dict[str, Any], tmp_path: Path, step: str
) -> None:
    path = _saved(content, tmp_path, RESIZE, step)
    with pytest.raises(DetkitError, match="test_dataloader.dataset.pipeline"):
        load_model(path, "cpu")


@pytest.mark.parametrize(("old", "new"), [
    ("pad_size_divisor=32", "pad_size_divisor=300000"),
    ("output_size=3", "output_size=100000"),
    pytest.param("num_outs=5", "num_outs=90000000", marks=pytest.mark.slow),
])
def test_memory_limit_error_is_one_line(
    content: dict[str, Any], tmp_path: Path, old: str, new: str
) -> None:
    predictor = Predictor(_saved(content, tmp_path, old, new), device="cpu")
    with pytest.raises(DetkitError, match="inference needs too much memory"):
        predictor(IMAGE)


def test_images_of_ordinary_size_are_accepted(content: dict[str, Any], tmp_path: Path) -> None:
    for step in ("dict(type='Resize', scale=(float('inf'), 96), keep_ratio=True)",
                 "dict(type='Resize', scale=(1333, 96), keep_ratio=True)",
                 "dict(type='Resize', scale_factor=(2.0, 2.0))"):
        path = _saved(content, tmp_path, RESIZE, step.replace("float('inf')", "inf"))
        assert Predictor(path, device="cpu")(IMAGE).size_hw == (60, 80)


@pytest.mark.parametrize(("old", "new"), [
    ("pad_size_divisor=32", "pad_size_divisor=0"),
    ("neck=dict(", "neck=dict(upsample_cfg=dict(scale_factor=50.0), "),
])
def test_model_with_incompatible_components_error_is_one_line(
    content: dict[str, Any], tmp_path: Path, old: str, new: str
) -> None:
    path = _saved(content, tmp_path, old, new)
    with pytest.raises(DetkitError, match="inference with the checkpoint.s model failed: got "):
        Predictor(path, device="cpu")(IMAGE)
    with pytest.raises(DetkitError, match="model cannot be converted to a static graph: got "):
        CheckpointGraphs(path).graph((96, 96))
