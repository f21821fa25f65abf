"""Planned runs: equal to the same run by epochs, and repeated and resumed to the bit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_training as tiny
import torch
from mmengine.config import Config

from detkit.config.load_config import RUNNER_KEYS, load_config
from detkit.config.schedule.fit_schedule import RunLength, fit_schedule
from detkit.engine import run
from detkit.engine.planned_loop import step_at
from detkit.engine.runner import DetRunner
from detkit.engine.schedule.replan_hook import ReplanHook
from detkit.engine.schedule.resume_plan import follow_resumed_plan
from detkit.engine.schedule.run_plan import MeasuredTimes, SplitTime
from detkit.errors import ConfigError, DetkitError

TRAIN = Path(__file__).resolve().parents[3] / "tools" / "train.py"
# No early stopping, a warm-up of at most a tenth, and an average over a quarter of the run: a
# schedule that does not change when it is fitted into its own length.
OWN_LENGTH = """
custom_hooks = [dict(type="EMAHook", momentum=0.5)]
param_scheduler = param_scheduler[1:]
"""


def _checkpoint(folder: Path, name: str) -> dict[str, Any]:
    return dict(torch.load(folder / name, weights_only=True))


def _assert_equal_weights(one: dict[str, Any], other: dict[str, Any]) -> None:
    for key in ("state_dict", "ema_state_dict"):
        assert one[key].keys() == other[key].keys()
        assert all(torch.equal(one[key][name], other[key][name]) for name in one[key])


def _planned_config(folder: Path, data: Path, num_steps: int) -> Path:
    """The tiny config's file, fitted into so many steps, with two validations."""
    folder.mkdir()
    cfg = load_config(tiny.write_config(folder, data, OWN_LENGTH))
    fit_schedule(cfg, RunLength(num_steps, 3, 2, 2))
    path = folder / "planned.py"
    path.write_text(Config({k: v for k, v in cfg.items() if k in RUNNER_KEYS}).pretty_text)
    return path


def _learning_rates(folder: Path) -> dict[int, float]:
    rows = [json.loads(line) for path in sorted(folder.glob("*/vis_data/scalars.json"))
            for line in path.read_text().splitlines()]
    return {row["step"]: row["lr"] for row in rows if "lr" in row}


@pytest.mark.slow
def test_planned_run_equals_the_run_by_epochs(tmp_path: Path, tiny_data: Path) -> None:
    config = tiny.write_config(tmp_path, tiny_data, OWN_LENGTH)
    run.train(config, work_dir=tmp_path / "epochs", device="cpu")
    planned = _planned_config(tmp_path / "config", tiny_data, 9)
    run.train(planned, work_dir=tmp_path / "steps", device="cpu")
    _assert_equal_weights(_checkpoint(tmp_path / "epochs", "epoch_3.pth"),
                          _checkpoint(tmp_path / "steps", "iter_9.pth"))


def _run_with_a_slow_machine(config: Path, folder: Path) -> Config:
    """Train with a clock on which the later iterations take five times as long."""
    cfg = run._load_run_config(config, None, folder, "none")
    cfg = run._override_config(cfg)
    cfg, classes, counts = run.setup_data(cfg, None, folder, training=True)
    runner = DetRunner.from_cfg(run._infer_config(cfg, classes, counts))
    times = MeasuredTimes(1.0, 3, SplitTime(0.0, 0.0, 6), None)
    seconds = {"now": 0.0}
    hook = ReplanHook(times, deadline=24.0, clock=lambda: seconds["now"])
    iteration = hook.after_train_iter

    def after_train_iter(runner: Any, *args: Any, **kwargs: Any) -> None:
        seconds["now"] += 1.0 if runner.iter < 8 else 5.0
        iteration(runner, *args, **kwargs)

    hook.after_train_iter = after_train_iter  # type: ignore[method-assign]
    runner.register_hook(hook)
    runner.train()
    return runner.cfg


@pytest.mark.slow
def test_run_on_a_slower_machine_is_repeated_and_resumed_to_the_bit(
    tmp_path: Path, tiny_data: Path
) -> None:
    planned = _planned_config(tmp_path / "config", tiny_data, 24)
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    cfg = _run_with_a_slow_machine(planned, first)
    timeline = cfg.train_cfg.timeline
    last = timeline[-1][1]
    # 24 iterations of 1 s; from the ninth on they take 5 s, and 16 s are left.
    assert 10 <= last < 16 and cfg.train_cfg.num_steps == 24 and len(timeline) > 1
    assert load_config(first / "planned.py").train_cfg.timeline == timeline
    assert len(list(first.glob("best_*.pth"))) == 1

    run.train(first / "planned.py", work_dir=second, device="cpu")
    expected = _checkpoint(first, f"iter_{last}.pth")
    _assert_equal_weights(expected, _checkpoint(second, f"iter_{last}.pth"))
    rates = _learning_rates(second)
    assert sorted(rates) == list(range(1, last + 1))
    # The cosine of the steps, which the iterations reach: half of the rate at step 12 of 24.
    for iteration, rate in rates.items():
        step = step_at(timeline, 24, iteration - 1)
        expected_rate = 0.001 * (1 + torch.cos(torch.tensor(torch.pi * step / 24)).item()) / 2
        assert rate == pytest.approx(expected_rate, abs=1e-6)

    third.mkdir()
    earlier = sorted(int(path.stem[5:]) for path in first.glob("iter_*.pth"))[0]
    assert earlier < last
    shutil.copy(first / f"iter_{earlier}.pth", third)
    run.train(first / "planned.py", work_dir=third, device="cpu", resume=True, minutes=1)
    _assert_equal_weights(expected, _checkpoint(third, f"iter_{last}.pth"))

    # The config of the command has 3 epochs, and the plan comes from the checkpoint.
    plain = load_config(tmp_path / "config" / "tiny.py")
    resumed = follow_resumed_plan(plain, str(third / f"iter_{earlier}.pth"), None, False)
    written = load_config(planned)
    for key in ("param_scheduler", "custom_hooks", "default_hooks", "log_processor"):
        assert resumed[key] == written[key]
    assert resumed.train_cfg.timeline[0] == [0, 24]
    with pytest.raises(ConfigError, match="whose schedule cannot change"):
        follow_resumed_plan(plain, str(_epoch_checkpoint(tmp_path)), 1.0, False)


def _epoch_checkpoint(folder: Path) -> Path:
    """A checkpoint of a run that was not planned."""
    path = folder / "epoch_1.pth"
    meta = {"epoch": 1, "iter": 3, "cfg": "train_cfg = dict(max_epochs=3)\n"}
    torch.save({"state_dict": {}, "meta": meta}, path)
    return path


@pytest.mark.slow
def test_train_minutes_is_repeated_without_it(tmp_path: Path, tiny_data: Path) -> None:
    config = tiny.write_config(tmp_path, tiny_data, "custom_hooks = custom_hooks[:1]\n")
    env = {**os.environ, "OMP_NUM_THREADS": "1"}

    def command(config: Path, work_dir: Path, *flags: str) -> str:
        done = subprocess.run(
            [sys.executable, str(TRAIN), str(config), "--work-dir", str(work_dir), "--device",
             "cpu", *flags], env=env, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stderr

    log = command(config, tmp_path / "first", "--minutes", "1", "--auto-batch")
    assert log.count("--minutes 1: ") == 1 and log.count("--auto-batch: ") == 1
    cfg = load_config(tmp_path / "first" / "tiny.py")
    assert cfg.auto_scale_lr.enable is True
    batches = cfg.train_cfg.epoch_length
    assert batches == -(-6 // cfg.train_dataloader.batch_size)
    timeline = cfg.train_cfg.timeline
    epochs = round(timeline[-1][1] / batches, 1)
    assert f" {epochs:g} epochs" in (tmp_path / "first" / "summary.txt").read_text()
    assert all(scheduler.end <= cfg.train_cfg.num_steps for scheduler in cfg.param_scheduler)
    command(tmp_path / "first" / "tiny.py", tmp_path / "second")
    last = f"iter_{timeline[-1][1]}.pth"
    _assert_equal_weights(_checkpoint(tmp_path / "first", last),
                          _checkpoint(tmp_path / "second", last))


@pytest.mark.parametrize(
    ("extra", "arguments", "message"),
    [
        ("", {"minutes": 1}, "EarlyStoppingHook"),
        ("", {"minutes": 1, "options": {"train_cfg.max_epochs": 2}}, "train_cfg.max_epochs"),
        ("", {"auto_batch": True, "options": {"train_dataloader.batch_size": 2}}, "batch_size"),
        ("auto_scale_lr = dict(enable=False)\n", {"auto_batch": True}, "base_batch_size"),
        ("custom_hooks = []\n", {"minutes": 0.01}, "the time is too short"),
    ],
    ids=["early stopping", "max_epochs", "batch size", "no base batch size", "too short"],
)
@pytest.mark.slow
def test_what_contradicts_is_an_error(
    tmp_path: Path, tiny_data: Path, extra: str, arguments: dict[str, Any], message: str
) -> None:
    config = tiny.write_config(tmp_path, tiny_data, extra)
    with pytest.raises(DetkitError, match=message):
        run.train(config, work_dir=tmp_path / "work", device="cpu", **arguments)
    assert not list((tmp_path / "work").glob("*.pth"))


@pytest.mark.slow
def test_other_data_than_planned_is_an_error(tmp_path: Path, tiny_data: Path) -> None:
    planned = _planned_config(tmp_path / "config", tiny_data, 9)
    with pytest.raises(ConfigError, match="epoch_length.*got 2 batches"):
        run.train(planned, work_dir=tmp_path / "work", device="cpu",
                  options={"train_dataloader.batch_size": 3})
