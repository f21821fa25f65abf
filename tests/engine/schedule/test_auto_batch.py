"""The choice among batch sizes that were tried: hand-worked cases; what the trials leave."""

from __future__ import annotations

import copy
import multiprocessing
import weakref
from pathlib import Path
from typing import Any

import pytest
import tiny_training as tiny
import torch

from detkit.config.load_config import load_config
from detkit.config.overrides import AUTO_BATCH_KEY
from detkit.engine import run
from detkit.engine.runner import DetRunner
from detkit.engine.schedule.auto_batch import (
    BatchTrial,
    choose_batch_size,
    expected_memory,
    fastest,
)
from detkit.engine.schedule.measure import measure_run
from detkit.engine.schedule.resume_plan import follow_resumed_plan

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def trials(*speeds, memory=(1.0, 1.5, 2.5, 4.5)):
    return [BatchTrial(2 << index, speed, int(memory[index] * 2**30))
            for index, speed in enumerate(speeds)]


@pytest.mark.parametrize(
    ("speeds", "batch_size"),
    [
        ((4.0,), 2),
        ((4.0, 4.1, 4.15, 4.15), 2),  # no faster by 5 %
        ((4.0, 5.0, 5.1), 4),
        ((4.0, 4.1, 4.3), 8),  # 7.5 % faster than the smallest
        ((4.0, 3.0, 2.0), 2),
    ],
)
def test_smallest_batch_unless_a_larger_is_faster(speeds, batch_size):
    assert fastest(trials(*speeds)).batch_size == batch_size


def test_memory_lies_on_the_line_through_the_last_two():
    one = trials(4.0)
    assert expected_memory(one, 4) == 2 * 2**30  # nothing is known of what is fixed
    # 4: 1.5 GiB, 8: 2.5 GiB, so 0.25 an image and 4.5 for 16.
    assert expected_memory(trials(4.0, 4.0, 4.0), 16) == 4.5 * 2**30


def test_a_resumed_run_keeps_the_chosen_batch_size(tmp_path: Path) -> None:
    cfg = load_config(CONFIGS / "cascade_efficientnet_nano.py")
    saved = copy.deepcopy(cfg)
    saved.train_dataloader.batch_size = 32
    saved.auto_scale_lr.update({"enable": True, AUTO_BATCH_KEY: True})
    path = tmp_path / "epoch_1.pth"
    torch.save({"meta": {"cfg": saved.pretty_text}, "state_dict": {"a": torch.zeros(1)}}, path)
    for flag in (True, False):
        resumed = follow_resumed_plan(cfg, str(path), None, flag)
        assert resumed.train_dataloader.batch_size == 32 and resumed.auto_scale_lr.enable
    # Of a run without --auto-batch the command's config counts.
    saved.auto_scale_lr.pop(AUTO_BATCH_KEY)
    torch.save({"meta": {"cfg": saved.pretty_text}, "state_dict": {"a": torch.zeros(1)}}, path)
    resumed = follow_resumed_plan(cfg, str(path), None, False)
    assert resumed.train_dataloader.batch_size == 4


@pytest.mark.slow
def test_a_trial_leaves_nothing_alive(tmp_path: Path, tiny_data: Path) -> None:
    config = tiny.write_config(tmp_path, tiny_data, "train_dataloader.update(num_workers=2)\n")
    cfg = run._override_config(run._load_run_config(config, None, tmp_path / "work", "none"))
    cfg, classes, counts = run.setup_data(cfg, None, tmp_path / "work", training=True)
    cfg = run._infer_config(cfg, classes, counts)
    built = []
    init = DetRunner.__init__

    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        built.append(weakref.ref(self))
        init(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DetRunner, "__init__", remember)
        measure_run(cfg, 60.0)
        choose_batch_size(cfg)
    assert len(built) >= 2 and [ref() for ref in built] == [None] * len(built)
    assert not multiprocessing.active_children()
