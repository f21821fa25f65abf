"""Building the model of a checkpoint, without executing anything in the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.engine.load_model import load_model
from detkit.errors import DetkitError, WeightsError
from detkit.registry import MODELS


@pytest.fixture
def content(tiny_config: Path) -> dict[str, Any]:
    """The content of a checkpoint of the thumbnail detector."""
    cfg = load_config(tiny_config)
    infer_fields(cfg, ["red", "green"])
    with DefaultScope.overwrite_default_scope("detkit"):
        model = MODELS.build(cfg.model)
    meta = {"cfg": cfg.pretty_text, "dataset_meta": {"classes": ("red", "green")}}
    return {"meta": meta, "state_dict": model.state_dict()}


def _saved(content: dict[str, Any], folder: Path) -> Path:
    torch.save(content, folder / "file.pth")
    return folder / "file.pth"


def test_load_model_restores_the_weights(
    content: dict[str, Any], tmp_path: Path
) -> None:
    loaded = load_model(_saved(content, tmp_path), "cpu")
    assert loaded.classes == ("red", "green") and not loaded.model.training
    weights = loaded.model.state_dict()
    assert all(torch.equal(weights[name], t) for name, t in content["state_dict"].items())


def _insert_code(content: dict[str, Any], text: str) -> None:
    content["meta"]["cfg"] = text


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.mkdir('hit')\nmodel = dict(type='FasterRCNN')",
        "model = dict(type=__import__('os').mkdir('hit'))",
        "model = dict(type='os.mkdir', path='hit')",
        "model = dict(type='FasterRCNN', backbone=dict(type='os.mkdir', path='hit'))",
        "model = dict(type='FasterRCNN', neck=dict(type='subprocess.call', args=['mkdir', 'hit']))",
        "custom_imports = dict(imports=['antigravity'])\nmodel = dict(type='os.mkdir', path='hit')",
        "model = [x for x in ()]",
        "model = (lambda: 1)()",
        "model = dict(f'{1}')",
    ],
)
def test_code_in_a_checkpoint_config_is_rejected_and_not_run(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    _insert_code(content, text)
    with pytest.raises(WeightsError):
        load_model(_saved(content, tmp_path), "cpu")
    assert not (tmp_path / "hit").exists()


class _CodeRunner:
    def __reduce__(self) -> Any:
        return os.mkdir, ("hit",)


def test_pickle_that_runs_code_is_rejected(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError):
        load_model(_saved({**content, "more": _CodeRunner()}, tmp_path), "cpu")
    assert not (tmp_path / "hit").exists()


def _without_meta(content: dict[str, Any]) -> None:
    del content["meta"]


def _without_config(content: dict[str, Any]) -> None:
    del content["meta"]["cfg"]


def _without_a_tensor(content: dict[str, Any]) -> None:
    del content["state_dict"]["backbone.conv1.weight"]


def _with_a_tensor_more(content: dict[str, Any]) -> None:
    content["state_dict"]["stranger"] = torch.zeros(1)


def _with_another_shape(content: dict[str, Any]) -> None:
    content["state_dict"]["backbone.conv1.weight"] = torch.zeros(1)


def _with_a_model_of_another_time(content: dict[str, Any]) -> None:
    content["meta"]["cfg"] = content["meta"]["cfg"].replace("depth=18", "depth=19")


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (_with_a_model_of_another_time, "cannot be built.*invalid depth 19"),
        (_without_meta, "not a checkpoint of a run"),
        (_without_config, "has no config"),
        (_without_a_tensor, "missing keys backbone.conv1.weight"),
        (_with_a_tensor_more, "unexpected keys stranger"),
        (_with_another_shape, "another shape .*backbone.conv1.weight"),
    ],
)
def test_mismatched_checkpoint_error_names_the_key(
    content: dict[str, Any], tmp_path: Path, corrupt: Any, message: str
) -> None:
    corrupt(content)
    with pytest.raises(WeightsError, match=message):
        load_model(_saved(content, tmp_path), "cpu")


@pytest.mark.parametrize("device", ["cuda:99", "meta", "cuda:"])
def test_unknown_device_is_rejected(device: str) -> None:
    with pytest.raises(DetkitError, match="--device"):
        load_model("any.pth", device)


def test_mmengine_checkpoint_is_loaded(tiny_config: Path, tmp_path: Path) -> None:
    cfg = load_config(tiny_config)
    infer_fields(cfg, ["red", "green"])
    cfg.work_dir = str(tmp_path / "work")
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1, val_interval=9)
    cfg.default_hooks = dict(checkpoint=dict(type="mmengine.CheckpointHook", interval=1))
    cfg.custom_hooks = []
    Runner.from_cfg(cfg).train()
    loaded = load_model(tmp_path / "work" / "epoch_1.pth", "cpu")
    assert loaded.classes == ("red", "green")
