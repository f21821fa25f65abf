"""``--minutes``: a config's schedule, fitted into a time on this machine."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process

from detkit.config.schedule.fit_param_schedulers import type_name
from detkit.config.schedule.fit_schedule import (
    FitReport,
    RunLength,
    count_steps,
    count_validations,
    fit_schedule,
)
from detkit.engine.distributed import run_on_main_process
from detkit.engine.schedule.measure import measure_run
from detkit.engine.schedule.replan_hook import ReplanHook
from detkit.engine.schedule.run_plan import MeasuredTimes, plan_run
from detkit.errors import ConfigError

MAX_AUTO_BATCH = 0.1  # fraction of the time


@dataclass(frozen=True)
class TimeBudget:
    """The time of a command.

    Args:
        minutes: for the whole command.
        start: the monotonic clock at which it began.
    """

    minutes: float
    start: float

    @property
    def deadline(self) -> float:
        """The monotonic clock at which the command should end."""
        return self.start + 60 * self.minutes

    @property
    def auto_batch_s(self) -> float:
        """The seconds that the search for a batch size may take before its last trial."""
        return MAX_AUTO_BATCH * 60 * self.minutes


def check_minutes(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Check that nothing else sets the length of a ``--minutes`` run.

    Args:
        cfg: the config.
        options: those of ``--cfg-options``.

    Raises:
        ConfigError: an option sets it, or a hook may end the training early.
    """
    for key in options or {}:
        if key.partition(".")[0] == "train_cfg":
            raise ConfigError(f"--minutes sets the length of the run, and so does --cfg-options "
                              f"{key}", expected="one of them")
    for hook in cfg.get("custom_hooks") or []:
        if isinstance(hook, Mapping) and type_name(hook) == "EarlyStoppingHook":
            raise ConfigError("--minutes sets the length of the run, and EarlyStoppingHook may "
                              "end it earlier", hint="remove the hook from custom_hooks")


def fit_minutes(cfg: Config, budget: TimeBudget) -> tuple[Config, ReplanHook]:
    """Measure the run of a config and fit its schedule into a time.

    Args:
        cfg: the config of the run, complete; not changed.
        budget: the time of the command.

    Returns:
        The config with the new schedule, and the hook that keeps the run within the time.

    Raises:
        DetkitError: the time is too short, or the schedule cannot be scaled.
    """
    cfg = copy.deepcopy(cfg)
    times = measure_run(cfg, 60 * budget.minutes)
    multiple = int((cfg.get("optim_wrapper") or {}).get("accumulative_counts", 1))
    length = run_on_main_process(lambda: plan_run(
        times, 60 * budget.minutes, monotonic() - budget.start, count_validations(cfg), multiple))
    before = count_steps(cfg, length.epoch_length)
    report = fit_schedule(cfg, length)
    if is_main_process():
        spent_s = monotonic() - budget.start
        print(describe_plan(cfg, budget.minutes, times, length, report, before, spent_s),
              file=sys.stderr)
    return cfg, ReplanHook(times, budget.deadline, multiple)


def describe_plan(
    cfg: Config, minutes: float, times: MeasuredTimes, length: RunLength, report: FitReport,
    config_steps: int, spent_s: float,
) -> str:
    """What was chosen, and why, in a few lines."""
    batch = cfg.train_dataloader.get("batch_size", 1) * get_world_size()
    lines = [
        f"--minutes {minutes:g}: {length.num_steps} steps of {batch} images, "
        f"{length.num_epochs:.3g} epochs (the config: {config_steps} steps, "
        f"{config_steps / length.epoch_length:.3g} epochs); a step takes {times.step_s:.3g} s, "
        f"the mean of {times.num_timed_steps}",
    ]
    schedule = [f"warm-up of {report.warmup_steps} steps" if report.warmup_steps
                else "no warm-up"]
    if report.ema_steps is not None:
        schedule.append(f"weights averaged over {report.ema_steps} steps "
                        f"({report.ema_steps / length.num_steps:.0%} of the run)")
    schedule.append(f"a checkpoint every {length.checkpoint_interval} steps")
    lines.append("schedule: the config's, in proportion; " + ", ".join(schedule))
    seconds = [f"{spent_s:.0f} s until now", f"{times.setup_s:.0f} s to start",
               f"{length.num_steps * times.step_s:.0f} s training"]
    if times.validation:
        seconds.append(
            f"{length.num_validations} x {times.validation.total_s:.0f} s validation"
            if length.num_validations else
            f"no validation (it would take {times.validation.total_s:.0f} s)")
    if times.test:
        seconds.append(f"{times.test.total_s:.0f} s test")
    lines.append("time: " + ", ".join(seconds) + "; planned again during the run")
    return "\n  ".join([*lines, *report.notes])
