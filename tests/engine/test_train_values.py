"""``--epochs`` and the flags of single values, in real trainings."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import tiny_training as tiny
import torch

from detkit.cli.main import BAD_INPUT, run_command
from detkit.config.load_config import load_config
from detkit.config.train_overrides import TrainOverrides
from detkit.engine import run
from detkit.engine.schedule.epochs import warn_of_long_warmup
from detkit.engine.schedule.resume_plan import follow_resumed_plan
from detkit.errors import ConfigError


@pytest.mark.slow
def test_epochs_and_values_are_in_the_run_and_its_config(tmp_path: Path, tiny_data: Path) -> None:
    config = tiny.write_config(tmp_path, tiny_data, "test_dataloader = test_cfg = None\n"
                               "test_evaluator = None\n")
    values = TrainOverrides(batch_size=3, lr=0.002, size=96, patience=7)
    result = run.train(config, work_dir=tmp_path / "work", device="cpu", epochs=2, values=values)
    cfg = load_config(tmp_path / "work" / "tiny.py")
    assert cfg.train_cfg.max_epochs == 2 and cfg.train_dataloader.batch_size == 3
    assert cfg.train_dataloader.dataset.pipeline[2].scale == (96, 96)
    assert cfg.custom_hooks[1].patience == 7
    # Six images in batches of three: 4 steps, of which at least one is warm-up.
    warmup, cosine = cfg.param_scheduler
    assert (warmup.end, cosine.end) == (2, 4)
    state = torch.load(tmp_path / "work" / "epoch_2.pth", weights_only=True)
    assert state["meta"]["iter"] == 4
    assert result.summary is not None and result.summary.schedule == "2 epochs"
    again = run.train(tmp_path / "work" / "tiny.py", work_dir=tmp_path / "again", device="cpu")
    assert again.summary is not None and again.summary.schedule == "2 epochs"
    other = torch.load(tmp_path / "again" / "epoch_2.pth", weights_only=True)
    assert all(torch.equal(other["state_dict"][key], value)
               for key, value in state["state_dict"].items())


def test_a_run_in_its_warm_up_is_a_warning(caplog: pytest.LogCaptureFixture, tmp_path: Path,
                                           tiny_data: Path) -> None:
    cfg = load_config(tiny.write_config(tmp_path, tiny_data))  # 3 epochs, a warm-up of 4 steps
    with caplog.at_level(logging.WARNING):
        warn_of_long_warmup(cfg, epoch_length=3)
        assert not caplog.records
        warn_of_long_warmup(cfg, epoch_length=1)
    assert "takes 3 of 3 steps" in caplog.text and "--epochs 3" in caplog.text


def test_a_resumed_run_keeps_its_epochs(caplog: pytest.LogCaptureFixture, tmp_path: Path,
                                        tiny_data: Path) -> None:
    cfg = load_config(tiny.write_config(tmp_path, tiny_data))  # 3 epochs
    path = str(tmp_path / "epoch_1.pth")
    meta = {"cfg": "train_cfg = dict(max_epochs=5)\n"}
    torch.save({"state_dict": {"a": torch.zeros(1)}, "meta": meta}, path)
    follow_resumed_plan(cfg, path, None, False, epochs=5)
    assert not caplog.records
    with pytest.raises(ConfigError, match="a run of 5 epochs; resume it with --epochs 5"):
        follow_resumed_plan(cfg, path, None, False, epochs=7)
    with caplog.at_level(logging.WARNING):
        follow_resumed_plan(cfg, path, None, False)
    assert "a run of 5 epochs, this config has 3" in caplog.text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epochs", "0"], "at least 1"),
        (["--epochs", "2", "--minutes", "3"], "one of them"),
        (["--lr", "-1"], "above 0"),
        (["--workers", "-1"], "at least 0"),
        (["--freeze", "-2"], "at least -1"),
        (["--name", "a/b"], "--work-dir takes a path"),
        (["--name", "a", "--work-dir", "b"], "one of them"),
    ],
)
def test_flags_that_are_wrong_are_one_line(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("train", ["configs/quickstart.py", *flags]) == BAD_INPUT
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
