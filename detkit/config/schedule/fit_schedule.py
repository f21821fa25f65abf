"""Fit a config's schedule into another number of steps: loop, schedulers, averages, hooks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config, ConfigDict

from detkit.config.schedule.fit_param_schedulers import (
    fit_param_schedulers,
    make_step_map,
    type_name,
)
from detkit.errors import ConfigError

PLANNED_LOOP = "PlannedTrainLoop"
# The weights are averaged over the config's fraction of the run, at most this one: after N steps
# exp(-1 / fraction) of the average is still the initial weights, here 2 %.
MAX_EMA_FRACTION = 0.25
MAX_EMA_MOMENTUM = 0.5
_LOG_LINES = 20
_DEFAULT_LAST_EPOCHS = 15  # YOLOXModeSwitchHook's


@dataclass(frozen=True)
class RunLength:
    """The length of a planned run.

    Args:
        num_steps: number of training steps.
        epoch_length: number of steps of an epoch.
        num_validations: number of validations, evenly spaced, the last one at the end; may be 0.
        checkpoint_interval: number of steps between two checkpoints.
    """

    num_steps: int
    epoch_length: int
    num_validations: int
    checkpoint_interval: int

    @property
    def num_epochs(self) -> float:
        """Number of epochs, with a fraction."""
        return self.num_steps / self.epoch_length


@dataclass
class FitReport:
    """What `fit_schedule` has set, for the user.

    Args:
        warmup_steps: number of warm-up steps; 0 for none.
        ema_steps: number of last steps that the averaged weights average; None without averaging.
        notes: what could not be fitted.
    """

    warmup_steps: int = 0
    ema_steps: int | None = None
    notes: list[str] = field(default_factory=list)


def is_planned(cfg: Mapping[str, Any]) -> bool:
    """Whether the config already has a fitted schedule."""
    train_cfg = cfg.get("train_cfg")
    return isinstance(train_cfg, Mapping) and type_name(train_cfg) == PLANNED_LOOP


def count_steps(cfg: Mapping[str, Any], epoch_length: int) -> int:
    """The number of training steps of a config's schedule.

    Args:
        cfg: the config.
        epoch_length: number of steps of an epoch.

    Raises:
        ConfigError: the training loop has neither ``max_epochs`` nor ``max_iters``.
    """
    train_cfg = cfg.get("train_cfg") or {}
    if is_planned(cfg):
        return int(train_cfg["num_steps"])
    if train_cfg.get("max_epochs"):
        return int(train_cfg["max_epochs"]) * epoch_length
    if train_cfg.get("max_iters"):
        return int(train_cfg["max_iters"])
    raise ConfigError("the config's train_cfg has no length",
                      expected="train_cfg.max_epochs or train_cfg.max_iters")


def count_validations(cfg: Mapping[str, Any]) -> int:
    """The number of validations of a config's run; 0 without a validation split."""
    train_cfg = cfg.get("train_cfg") or {}
    if cfg.get("val_dataloader") is None or cfg.get("val_cfg") is None:
        return 0
    if is_planned(cfg):
        return int(train_cfg.get("num_validations", 1))
    length = train_cfg.get("max_epochs") or train_cfg.get("max_iters") or 1
    default = 1 if train_cfg.get("max_epochs") else 1000
    return max(1, math.ceil(int(length) / int(train_cfg.get("val_interval", default))))


def fit_schedule(
    cfg: Config, length: RunLength, timeline: list[list[int]] | None = None
) -> FitReport:
    """Fit the schedule of ``cfg`` into ``length``, in place.

    The same config and length give the same result, so that a resumed run repeats it.

    Args:
        cfg: a config with a schedule of its own.
        length: of the new run.
        timeline: of the run that is resumed, see ``PlannedTrainLoop``; None for a new run.

    Raises:
        ConfigError: the schedule has no length, or cannot be scaled.
    """
    report = fit_components(cfg, length)
    sampler = (cfg.get("train_dataloader") or {}).get("sampler")
    if isinstance(sampler, Mapping) and type_name(sampler) == "InfiniteSampler":
        # That of loops over iterations; the planned loop passes through the data.
        cfg.train_dataloader.sampler = ConfigDict(type="DefaultSampler",
                                                  shuffle=sampler.get("shuffle", True))
    _fit_default_hooks(cfg, length)
    cfg.train_cfg = ConfigDict(
        type=f"detkit.{PLANNED_LOOP}", epoch_length=length.epoch_length,
        num_validations=length.num_validations, num_steps=length.num_steps,
        timeline=timeline or [[0, length.num_steps]])
    return report


def fit_components(cfg: Config, length: RunLength) -> FitReport:
    """Fit the schedulers and custom hooks, which depend on the length of the run, in place.

    Args:
        cfg: a config whose loop is still that of its own length.
        length: of the new run.

    Raises:
        ConfigError: the schedule has no length, or cannot be scaled.
    """
    old_steps = count_steps(cfg, length.epoch_length)
    step_map = make_step_map(cfg.get("param_scheduler"), old_steps, length.num_steps,
                             length.epoch_length)
    report = FitReport(step_map.new_warmup)
    if cfg.get("param_scheduler") is not None:
        cfg.param_scheduler = fit_param_schedulers(cfg.param_scheduler, step_map,
                                                   length.epoch_length)
    for hook in cfg.get("custom_hooks") or []:
        if isinstance(hook, Mapping):
            _fit_hook(hook, old_steps, length, report)
    return report


def _fit_default_hooks(cfg: Config, length: RunLength) -> None:
    hooks = cfg.get("default_hooks") or ConfigDict()
    hooks["param_scheduler"] = ConfigDict(type="detkit.PlannedParamSchedulerHook")
    checkpoint = ConfigDict(hooks.get("checkpoint") or {"type": "detkit.CheckpointHook"})
    checkpoint.update(by_epoch=False, interval=length.checkpoint_interval)
    checkpoint.pop("save_begin", None)
    hooks["checkpoint"] = checkpoint
    logger = ConfigDict(hooks.get("logger") or {"type": "LoggerHook"})
    interval = max(1, length.num_steps // _LOG_LINES)
    logger.update(interval=min(int(logger.get("interval", 10)), interval),
                  log_metric_by_epoch=False)
    hooks["logger"] = logger
    cfg.default_hooks = hooks
    # A validation may come within an epoch, so its step in logs and plots is an iteration.
    cfg.log_processor = ConfigDict({"type": "LogProcessor", **(cfg.get("log_processor") or {}),
                                    "by_epoch": False})


def _fit_hook(hook: Any, old_steps: int, length: RunLength, report: FitReport) -> None:
    name = type_name(hook)
    if name == "EMAHook":
        _fit_ema(hook, old_steps, length, report)
    # Hooks switch at the beginning of an epoch; without a second one, at the first step.
    last_epoch = math.ceil(length.num_epochs) - 1
    old_epochs = old_steps / length.epoch_length
    if hook.get("switch_epoch"):
        fraction = min(hook["switch_epoch"] / old_epochs, 1.0)
        hook["switch_epoch"] = min(max(1, round(fraction * length.num_epochs)), last_epoch)
    elif name == "YOLOXModeSwitchHook":
        fraction = hook.get("num_last_epochs", _DEFAULT_LAST_EPOCHS) / old_epochs
        hook["num_last_epochs"] = max(1, min(round(fraction * length.num_epochs), last_epoch))
    elif "last_fraction" not in hook:
        return
    if not last_epoch:
        report.notes.append(f"{name} switches at the first step, because less than an epoch fits")


def _fit_ema(hook: Any, old_steps: int, length: RunLength, report: FitReport) -> None:
    """Average over the same fraction of the new run."""
    scale = length.num_steps / old_steps
    if hook.get("begin_epoch"):
        hook["begin_iter"] = hook.pop("begin_epoch") * length.epoch_length
    if hook.get("begin_iter"):
        hook["begin_iter"] = min(round(hook["begin_iter"] * scale), length.num_steps - 1)
    if "gamma" in hook:
        hook["gamma"] = max(1, round(hook["gamma"] * scale))
    if str(hook.get("ema_type", "")).endswith("StochasticWeightAverage"):
        return
    interval = hook.get("interval", 1)
    old_window = interval / hook.get("momentum", 0.0002)
    window = min(old_window / old_steps, MAX_EMA_FRACTION) * length.num_steps
    hook["momentum"] = min(interval / window, MAX_EMA_MOMENTUM)
    report.ema_steps = round(interval / hook["momentum"])
