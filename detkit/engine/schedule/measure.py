"""Measure the training step and the evaluation of a config: real model, data and loaders.

A trial run does it, with a runner of its own that is thrown away, so that the run itself begins as
if nothing had been measured.
"""

from __future__ import annotations

import copy
import gc
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope

from detkit.engine.distributed import run_on_main_process
from detkit.engine.runner import DetRunner
from detkit.engine.schedule.run_plan import MeasuredTimes, SplitTime

# The first steps allocate memory and choose kernels.
WARMUP_STEPS = 3
MIN_STEPS = 3
ENOUGH_STEPS, ENOUGH_S = 8, 4.0
# A trial ends after this fraction of the time of a run, if it has the least number of steps.
MAX_FRACTION = 0.05
_TRIMMED = 0.1  # fraction of the longest and of the shortest times that does not count
_MAX_BATCHES = 16
_ENDLESS = 10**8
_trial_ids = itertools.count(1)


@dataclass(frozen=True)
class StepTimes:
    """Result of a trial.

    Args:
        setup_s: seconds from the start of the training to its first step.
        seconds: of each timed training step.
        epoch_length: number of steps of an epoch.
    """

    setup_s: float
    seconds: list[float]
    epoch_length: int

    @property
    def mean_s(self) -> float:
        """Mean without the longest and the shortest times."""
        ordered = sorted(self.seconds)
        cut = int(len(ordered) * _TRIMMED)
        kept = ordered[cut:len(ordered) - cut]
        return sum(kept) / len(kept)


def measure_run(cfg: Config, budget_s: float) -> MeasuredTimes:
    """Measure a training step, the validation and the test of a config.

    All processes of a distributed run call this together; the times are those of the main one.

    Args:
        cfg: the config of the run, complete; not changed.
        budget_s: seconds of the whole run.
    """
    times = _measure(cfg, budget_s)
    release_memory()
    return run_on_main_process(lambda: times)


def _measure(cfg: Config, budget_s: float) -> MeasuredTimes:
    start = perf_counter()
    with trial_runner(cfg) as runner:
        model_s = perf_counter() - start
        step = run_trial(runner, max_s=budget_s * MAX_FRACTION)
        validation = test = None
        max_s = budget_s * MAX_FRACTION / 2
        if runner.val_loop is not None:
            validation = _measure_split(runner, "val", max_s)
        if cfg.get("test_dataloader") is not None and cfg.get("test_cfg") is not None:
            test = _measure_split(runner, "test", max_s, validation, model_s)
    return MeasuredTimes(step.mean_s, step.epoch_length, validation, test,
                         model_s + step.setup_s, len(step.seconds))


def release_memory() -> None:
    """Free the model, optimizer and data loading processes of a trial that has returned.

    They refer to each other in a circle, and to the frame of the caller until it ends.
    """
    gc.collect()
    if get_device() == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def trial_runner(cfg: Config, batch_size: int | None = None) -> Iterator[Any]:
    """A runner of ``cfg`` that writes nothing and trains without end.

    Args:
        cfg: the config; not changed.
        batch_size: of the training; None takes the config's.
    """
    cfg = copy.deepcopy(cfg)
    if batch_size is not None:
        cfg.train_dataloader.batch_size = batch_size
    cfg.train_cfg = ConfigDict(type="detkit.PlannedTrainLoop", num_validations=0,
                               num_steps=_ENDLESS, timeline=[[0, _ENDLESS]])
    hooks = ConfigDict(cfg.get("default_hooks") or {})
    hooks.pop("visualization", None)
    hooks.update(checkpoint=None, logger=None, param_scheduler=dict(type="ParamSchedulerHook"))
    cfg.default_hooks = hooks
    # Without param_schedulers the learning rate would be the highest from the first step on.
    cfg.param_scheduler = ConfigDict(type="ConstantLR", factor=1e-3, by_epoch=False, begin=0,
                                     end=_ENDLESS)
    cfg.visualizer = ConfigDict(type="Visualizer", vis_backends=[])
    cfg.log_level = "ERROR"
    cfg.resume = False
    cfg.experiment_name = f"trial_{next(_trial_ids)}"
    runner: Any = None
    with tempfile.TemporaryDirectory(prefix="detkit_trial_") as folder:
        cfg.work_dir = folder
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            try:
                runner = DetRunner.from_cfg(cfg)
                yield runner
            finally:
                del runner


class _TrialHook(Hook):  # type: ignore[misc]
    """Takes the time of each step, and ends the training when there are enough."""

    priority = "LOWEST"

    def __init__(self, max_s: float) -> None:
        self._max_s = max_s
        self._times: list[float] = []
        self._start = perf_counter()
        self.setup_s = 0.0

    @property
    def seconds(self) -> list[float]:
        """Seconds of the steps after the first ones."""
        return [end - begin for begin, end in itertools.pairwise(self._times[WARMUP_STEPS - 1:])]

    def before_train(self, runner: Any) -> None:
        """Take the time of what comes before the first step."""
        self.setup_s = perf_counter() - self._start

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Take the time."""
        if get_device() == "cuda":
            torch.cuda.synchronize()
        self._times.append(perf_counter())
        runner.train_loop.stop_training = run_on_main_process(self._is_enough)

    def _is_enough(self) -> bool:
        steps = len(self._times) - WARMUP_STEPS
        elapsed = self._times[-1] - self._times[0]
        return steps >= ENOUGH_STEPS and elapsed >= ENOUGH_S or (
            steps >= MIN_STEPS and elapsed >= self._max_s)


def run_trial(runner: Any, max_s: float) -> StepTimes:
    """Train ``runner`` for a few steps.

    Args:
        runner: of `trial_runner`.
        max_s: the trial ends after so many seconds, if it has the least number of steps.
    """
    hook = _TrialHook(max_s)
    runner.register_hook(hook)
    runner.train()
    return StepTimes(hook.setup_s, hook.seconds, len(runner.train_dataloader))


def _measure_split(
    runner: Any, split: str, max_s: float, validation: SplitTime | None = None,
    model_s: float = 0.0,
) -> SplitTime:
    """Time the evaluation of a few images; the test's speed is the validation's if there is one."""
    start = perf_counter()
    loop = runner.val_loop if split == "val" else runner.test_loop
    num_images = len(loop.dataloader.dataset)
    if validation is not None:
        startup_s = perf_counter() - start + model_s + validation.startup_s
        return SplitTime(startup_s, validation.image_s, num_images)
    runner.model.eval()
    times = [perf_counter()]
    for index, batch in enumerate(itertools.islice(loop.dataloader, _MAX_BATCHES)):
        loop.run_iter(index, batch)
        if get_device() == "cuda":
            torch.cuda.synchronize()
        times.append(perf_counter())
        if len(times) > MIN_STEPS and times[-1] - times[0] > max_s:
            break
    # The first batch also starts the data loading processes.
    batches = [end - begin for begin, end in itertools.pairwise(times)]
    rest = batches[1:] or batches
    batch_s = sum(rest) / len(rest)
    startup_s = model_s + max(times[1] - start - batch_s, 0.0)
    # Each process evaluates its share of the images.
    images = (loop.dataloader.batch_size or 1) * get_world_size()
    return SplitTime(startup_s, batch_s / images, num_images)
