"""Resume a run that was planned by ``--minutes`` or ``--auto-batch`` as it was planned."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from detkit.checkpoints.config_text import parse_literals
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.config.overrides import AUTO_BATCH_KEY, enable_lr_scaling
from detkit.config.schedule.fit_schedule import RunLength, fit_schedule, is_planned
from detkit.engine.planned_loop import check_timeline
from detkit.errors import ConfigError, WeightsError

logger = logging.getLogger(__name__)
_SAVED_KEYS = ("train_cfg", "default_hooks", "train_dataloader", "auto_scale_lr")


def follow_resumed_plan(
    cfg: Config, checkpoint: str, minutes: float | None, auto_batch: bool,
    epochs: int | None = None,
) -> Config:
    """The config of a resumed run, with the schedule and batch size of its checkpoint's run.

    Args:
        cfg: the config of the command; not changed.
        checkpoint: the file to resume from.
        minutes: of the command; the plan of the checkpoint has precedence.
        auto_batch: whether the command chooses a batch size; the checkpoint's has precedence, and
            is kept without it where it was chosen so.
        epochs: of the command; must be those of the checkpoint's run.

    Raises:
        ConfigError: ``minutes`` is given, and the run was not planned; ``epochs`` is another number
            than the run's.
        WeightsError: the plan in the checkpoint is invalid.
    """
    saved = _read_config(checkpoint)
    planned = is_planned(saved)
    if minutes is not None and not (planned or is_planned(cfg)):
        raise ConfigError(f"--minutes: {checkpoint} is of a run without it, whose schedule cannot "
                          "change", hint="leave out --minutes, or start a new run in another "
                          "--work-dir")
    if minutes is not None or auto_batch:
        logger.info("%s: its run's schedule and batch size are kept; nothing is measured",
                    checkpoint)
    _check_epochs(cfg, saved, checkpoint, epochs)
    cfg = copy.deepcopy(cfg)
    scaling = saved.get("auto_scale_lr") or {}
    if auto_batch or scaling.get(AUTO_BATCH_KEY) or planned and not is_planned(cfg):
        batch_size = (saved.get("train_dataloader") or {}).get("batch_size")
        if not _is_int(batch_size, 1):
            raise _invalid_plan(checkpoint, f"train_dataloader.batch_size {batch_size!r}")
        cfg.train_dataloader.batch_size = batch_size
        if scaling.get("enable") is True:
            enable_lr_scaling(cfg, "--resume")
    if planned and not is_planned(cfg):
        timeline, length = _read_plan(saved, checkpoint)
        fit_schedule(cfg, length, timeline)
    return cfg


def _check_epochs(
    cfg: Config, saved: Mapping[str, Any], checkpoint: str, epochs: int | None
) -> None:
    """Compare the length of the checkpoint's run, which its schedule follows, with this one's."""
    before = (saved.get("train_cfg") or {}).get("max_epochs")
    if not _is_int(before, 1):
        return
    if epochs is not None and epochs != before:
        raise ConfigError(f"--epochs {epochs}: the schedule of a resumed run cannot change",
                          got=f"{checkpoint} of a run of {before} epochs",
                          hint=f"resume it with --epochs {before}, or start a new run with "
                          "--weights FILE in another --work-dir")
    configured = (cfg.get("train_cfg") or {}).get("max_epochs")
    if epochs is None and configured and configured != before:
        logger.warning("%s is of a run of %s epochs, this config has %s: the learning rate follows "
                       "the run's schedule. Pass --epochs %s to continue it as it was", checkpoint,
                       before, configured, before)


def _read_config(checkpoint: str) -> dict[str, Any]:
    """The keys of a checkpoint's config that a plan is in; parsed as literals, not executed."""
    meta = load_checkpoint(checkpoint).get("meta")
    text = meta.get("cfg") if isinstance(meta, Mapping) else None
    if not isinstance(text, str):
        return {}
    saved = parse_literals(text, f"{checkpoint}: its config", _SAVED_KEYS)
    return {key: value for key, value in saved.items() if isinstance(value, Mapping)}


def _read_plan(
    saved: Mapping[str, Any], checkpoint: str
) -> tuple[list[list[int]], RunLength]:
    train_cfg = saved["train_cfg"]
    timeline, num_steps = train_cfg.get("timeline"), train_cfg.get("num_steps")
    hook = (saved.get("default_hooks") or {}).get("checkpoint")
    try:
        check_timeline(timeline, num_steps)
    except ConfigError as error:
        raise _invalid_plan(checkpoint, str(error)) from error
    numbers: list[Any] = [train_cfg.get("epoch_length"), train_cfg.get("num_validations"),
                          hook.get("interval") if isinstance(hook, Mapping) else None]
    if not all(_is_int(number, least) for number, least in zip(numbers, (1, 0, 1))):
        raise _invalid_plan(checkpoint, f"epoch_length, num_validations, interval: {numbers}")
    epoch_length, num_validations, interval = map(int, numbers)
    length = RunLength(num_steps, epoch_length, num_validations, interval)
    return [list(pair) for pair in timeline], length


def _is_int(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _invalid_plan(checkpoint: str, got: str) -> WeightsError:
    return WeightsError(f"{checkpoint}: the plan in its config is invalid", got=got,
                        hint="resume another checkpoint of the run")
