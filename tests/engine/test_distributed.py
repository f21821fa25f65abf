"""Training with two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_training as tiny

pytestmark = pytest.mark.slow
TRAIN = Path(__file__).resolve().parents[2] / "tools" / "train.py"
# Each process normalizes its losses by the counts of its own images and samples its own negatives,
# so the two runs differ by more than rounding. Measured: first losses 1.965 and 1.958, AP on the
# training images 0.633 and 0.618, AP50 1.000 and 0.985.
LOSS_NOISE, AP_NOISE = 0.02, 0.1
LEARNING = '''
# Batch norm would use the statistics of one process; group norm does not depend on the batch.
model["backbone"].update(norm_cfg=dict(type="GN", num_groups=4))
train_cfg.update(max_epochs=150, val_interval=150)
param_scheduler[1].update(end=150, T_max=150)
optim_wrapper["optimizer"].update(lr=0.004)
default_hooks["checkpoint"].update(interval=150)
custom_hooks = []
'''


def _losses(work_dir: Path) -> list[float]:
    rows = [json.loads(line) for path in sorted(work_dir.glob("*/vis_data/scalars.json"))
            for line in path.read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def _ap(printed: str) -> float:
    return next(float(line.split()[1]) for line in printed.splitlines() if line.startswith("AP "))


def _train(launch: list[str], config: Path, work_dir: Path, *flags: str) -> str:
    command = [*launch, str(TRAIN), str(config), "--work-dir", str(work_dir), "--device", "cpu",
               *flags]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
                          capture_output=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_two_gloo_processes_match_one_with_the_same_total_batch(tmp_path: Path) -> None:
    data = tiny.write_data(tmp_path / "data", images=8)
    config = tiny.write_config(tmp_path, data, LEARNING)
    # standalone: at a free port
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
                "--standalone"]
    single = _train([sys.executable], config, tmp_path / "one", "--cfg-options",
                    "train_dataloader.batch_size=4")
    double = _train(torchrun, config, tmp_path / "two", "--launcher", "pytorch", "--cfg-options",
                    "train_dataloader.batch_size=2")
    first, second = _losses(tmp_path / "one"), _losses(tmp_path / "two")
    assert len(first) == len(second) == 300  # 150 epochs of 8 images, 4 in a step
    assert second[0] == pytest.approx(first[0], rel=LOSS_NOISE)
    assert _ap(single) > 0.4
    assert _ap(double) == pytest.approx(_ap(single), abs=AP_NOISE)
    # Only the main process prints.
    for out in (single, double):
        assert out.count("checkpoint: ") == 1 and out.count("\nAP50 ") == 1


def test_launcher_without_environment_error_shows_the_command(tmp_path: Path) -> None:
    config = tiny.write_config(tmp_path, tiny.write_data(tmp_path / "data"))
    env = {key: value for key, value in os.environ.items() if key != "LOCAL_RANK"}
    done = subprocess.run(
        [sys.executable, str(TRAIN), str(config), "--launcher", "pytorch", "--device", "cpu"],
        env=env, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 2
    assert "torchrun --nproc-per-node N" in done.stderr.splitlines()[-1]
