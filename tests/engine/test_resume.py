"""A killed and resumed training equals an uninterrupted one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_training as tiny
import torch

pytestmark = pytest.mark.slow
BY_ITERATION = (
    "default_hooks['checkpoint'].update(by_epoch=False, interval=2, max_keep_ckpts=-1)\n"
)
# Mosaic, mixup and copy-paste, and none in the last epoch.
MIXING = """
clean = [dict(type="Resize", scale=(64, 64), keep_ratio=True),
         dict(type="RandomFlip", prob=0.5), dict(type="PackDetInputs")]
train_dataloader["dataset"] = dict(
    type="MultiImageMixDataset",
    dataset=dict(train_dataloader["dataset"],
                 pipeline=[dict(type="CachedSteps", transforms=pipeline[:2])]),
    pipeline=[dict(type="Mosaic", img_scale=(64, 64), prob=0.7), dict(type="CopyPasteBoxes"),
              dict(type="MixUp", img_scale=(64, 64), prob=0.7), *clean])
custom_hooks.append(dict(type="PipelineSwitchHook", switch_epoch=2, switch_pipeline=clean))
"""
TRAIN = Path(__file__).resolve().parents[2] / "tools" / "train.py"


def _command(config: Path, work_dir: Path, *flags: str) -> list[str]:
    return [sys.executable, str(TRAIN), str(config), "--work-dir", str(work_dir),
            "--device", "cpu", *flags]


def _run(*command: str) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]


def _losses(work_dir: Path) -> dict[int, tuple[float, ...]]:
    """Logged values of each training step and validation; the last log of a step counts."""
    losses = {}
    for file in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in file.read_text().splitlines():
            row = json.loads(line)
            if "loss" in row:
                names = sorted(k for k in row if "loss" in k or k in ("lr", "grad_norm"))
                losses[row["step"]] = tuple(row[name] for name in names)
    return losses


def _kill_after(command: list[str], sign: Path) -> None:
    """Start ``command`` and kill it as soon as the file ``sign`` exists."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 400
        while not sign.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert sign.exists(), "the training ended before it could be killed"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    ("workers", "extra", "sign"),
    [
        (0, "", "epoch_1.pth"),
        (2, "train_dataloader.update(persistent_workers=True)\n", "epoch_1.pth"),
        (2, BY_ITERATION, "iter_4.pth"),
        (2, BY_ITERATION + MIXING + "train_dataloader.update(persistent_workers=True)\n",
         "iter_4.pth"),
    ],
    ids=["at an epoch's end", "with persistent workers", "in the middle of an epoch",
         "with mixed images"],
)
def test_killed_training_resumes_with_the_same_losses_and_weights(
    tmp_path: Path, workers: int, extra: str, sign: str
) -> None:
    data = tiny.write_data(tmp_path / "data")
    extra += f"train_dataloader.update(num_workers={workers})\n"
    config = tiny.write_config(tmp_path, data, extra)
    uninterrupted, interrupted = tmp_path / "whole", tmp_path / "cut"
    _run(*_command(config, uninterrupted))
    _kill_after(_command(config, interrupted), interrupted / sign)
    _run(*_command(config, interrupted, "--resume"))

    expected = _losses(uninterrupted)
    assert sorted(expected) == list(range(1, 10))  # 3 epochs of 6 images in batches of 2
    assert _losses(interrupted) == expected
    last = "iter_9.pth" if sign.startswith("iter") else "epoch_3.pth"
    expected_state, actual_state = (torch.load(d / last, weights_only=True)
                                    for d in (uninterrupted, interrupted))
    for key in ("state_dict", "ema_state_dict"):
        assert all(
            torch.equal(expected_state[key][k], actual_state[key][k])
            for k in expected_state[key])


def test_losses_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    data = tiny.write_data(tmp_path / "data")
    config = tiny.write_config(tmp_path, data)
    losses = []
    for workers in (0, 2):
        work_dir = tmp_path / f"w{workers}"
        _run(*_command(config, work_dir, "--cfg-options",
                       f"train_dataloader.num_workers={workers}", "train_cfg.max_epochs=1"))
        losses.append(_losses(work_dir))
    assert losses[0] and losses[0] == losses[1]


@pytest.mark.parametrize(("signal_number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)],
                         ids=["ctrl-c", "sigterm"])
def test_terminated_training_leaves_a_resumable_folder(
    signal_number: signal.Signals, code: int, tmp_path: Path
) -> None:
    config = tiny.write_config(tmp_path, tiny.write_data(tmp_path / "data"),
                               "train_dataloader.update(num_workers=1)\ncustom_hooks = []\n")
    work_dir, env = tmp_path / "work", {**os.environ, "OMP_NUM_THREADS": "1"}
    log = tmp_path / "log.txt"
    with open(log, "w") as stream:
        first = subprocess.Popen(
            _command(config, work_dir, "--cfg-options", "train_cfg.max_epochs=100000"),
            env=env, stderr=stream, stdout=stream)
    try:
        deadline = time.monotonic() + 300
        while not (work_dir / "epoch_1.pth").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        second = subprocess.run(_command(config, work_dir, "--resume"), env=env, timeout=300,
                                capture_output=True, text=True)
        assert second.returncode == 2
        assert f"is in use by another training: got process {first.pid};" in second.stderr
        first.send_signal(signal_number)
        assert first.wait(60) == code, log.read_text()[-3000:]
    finally:
        first.kill()
        first.wait()
    assert not list(work_dir.glob(".*"))
    last = max(int(path.stem[6:]) for path in work_dir.glob("epoch_*.pth"))
    _run(*_command(config, work_dir, "--resume", "--cfg-options",
                   f"train_cfg.max_epochs={last + 1}"))
    assert (work_dir / f"epoch_{last + 1}.pth").exists()
