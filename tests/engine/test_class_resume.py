"""A killed and resumed training of a classifier equals an uninterrupted one.

The tiny config uses random numbers wherever a recipe can: crops, flips, RandAugment, random
erasing, mixup and cutmix, dropout and drop path. It also has an EMA and layer-wise decay.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_classifier as tiny
import torch

from detkit.checkpoints.find_checkpoint import find_latest_checkpoint
from detkit.engine.results import TrainResult
from detkit.engine.run import train

TRAIN = Path(__file__).resolve().parents[2] / "tools" / "train.py"
# 12 images, 4 in a step: 3 steps in an epoch, so checkpoints 5, 10 and 20 are within an epoch.
LONGER = """
train_cfg.update(max_epochs=8, val_interval=4)
default_hooks["checkpoint"].update(by_epoch=False, interval=5, max_keep_ckpts=-1)
"""
STEPS = 24
BALANCED = """
train_dataloader.update(sampler=dict(type="ClassBalancedSampler"))
model["head"].update(loss=dict(type="ClassBalancedLoss", loss=dict(type="SoftmaxFocalLoss")))
"""


def _losses(work_dir: Path) -> dict[int, tuple[float, ...]]:
    """Logged loss, learning rate and gradient norm of each step; the last log of a step counts."""
    losses = {}
    for file in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in file.read_text().splitlines():
            row = json.loads(line)
            if "loss" in row:
                losses[row["step"]] = (row["loss"], row["lr"], row["grad_norm"])
    return losses


def _kill_when(sign: Path, config: Path, work_dir: Path, *flags: str) -> None:
    """Start a training and kill it with its workers as soon as the file ``sign`` exists."""
    command = [sys.executable, str(TRAIN), str(config), "--work-dir", str(work_dir),
               "--device", "cpu", *flags]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    deadline = time.monotonic() + 200
    while not sign.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert sign.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "sign", "amp"),
    [
        ("train_dataloader.update(num_workers=2)\n", "iter_5.pth", False),
        ("", "iter_10.pth", True),
        ("train_dataloader.update(num_workers=2, persistent_workers=True)\n" + BALANCED,
         "iter_5.pth", False),
        ("default_hooks['checkpoint'].update(by_epoch=True, interval=1)\n", "epoch_2.pth", False),
    ],
    ids=["within an epoch, two workers", "in bfloat16", "balanced, workers kept",
         "at an epoch's end"],
)
def test_killed_classifier_training_resumes_with_the_same_losses_and_weights(
    tmp_path: Path, extra: str, sign: str, amp: bool
) -> None:
    config = tiny.write_config(tmp_path, tiny.write_images(tmp_path / "data"), LONGER + extra)
    uninterrupted, interrupted = tmp_path / "whole", tmp_path / "cut"
    train(config, work_dir=uninterrupted, amp=amp, device="cpu")
    _kill_when(interrupted / sign, config, interrupted, *(["--amp"] if amp else []))
    before = find_latest_checkpoint(interrupted)
    assert before is not None and before.name not in (f"iter_{STEPS}.pth", "epoch_8.pth")
    train(config, work_dir=interrupted, resume=True, amp=amp, device="cpu")

    expected = _losses(uninterrupted)
    assert sorted(expected) == list(range(1, STEPS + 1))
    assert len({loss for loss, _, _ in expected.values()}) > STEPS // 2
    assert _losses(interrupted) == expected
    last = "epoch_8.pth" if sign.startswith("epoch") else f"iter_{STEPS // 5 * 5}.pth"
    _assert_same_weights(uninterrupted / last, interrupted / last)


def _assert_same_weights(expected: Path, actual: Path) -> None:
    first, second = (torch.load(file, weights_only=True) for file in (expected, actual))
    for key in ("state_dict", "ema_state_dict"):
        assert first[key].keys() == second[key].keys()
        assert all(torch.equal(first[key][name], second[key][name]) for name in first[key])


def test_resume_within_an_epoch_gives_the_same_losses_and_weights(tmp_path: Path) -> None:
    config = tiny.write_config(tmp_path, tiny.write_images(tmp_path / "data"), """
train_cfg.update(max_epochs=2, val_interval=2)
default_hooks["checkpoint"].update(by_epoch=False, interval=2, max_keep_ckpts=-1)
""")
    uninterrupted, interrupted = tmp_path / "whole", tmp_path / "cut"
    train(config, work_dir=uninterrupted, device="cpu")
    # The state after a kill in the fifth step; an epoch has 3 steps.
    interrupted.mkdir()
    shutil.copy(uninterrupted / "iter_4.pth", interrupted)
    train(config, work_dir=interrupted, resume=interrupted / "iter_4.pth", device="cpu")
    expected = _losses(uninterrupted)
    assert sorted(expected) == list(range(1, 7))
    assert _losses(interrupted) == {step: expected[step] for step in (5, 6)}
    _assert_same_weights(uninterrupted / "iter_6.pth", interrupted / "iter_6.pth")


def test_resume_with_other_classes_is_rejected(
    trained_classifier: tuple[Path, TrainResult], tmp_path: Path
) -> None:
    from detkit.errors import DataError

    data = tiny.write_images(tmp_path / "data", train=1, val=1)
    config = tiny.write_config(tmp_path, data)
    for split in ("train", "val"):
        (data / split / "red").rename(data / split / "apple")
    checkpoint = find_latest_checkpoint(trained_classifier[1].work_dir)
    assert checkpoint is not None
    message = (f"classes are not those of .*{checkpoint.name}: got 'apple', 'blue', 'green', "
               "expected 'blue', 'green', 'red'")
    with pytest.raises(DataError, match=message):
        train(config, work_dir=tmp_path / "work", resume=checkpoint, device="cpu")
