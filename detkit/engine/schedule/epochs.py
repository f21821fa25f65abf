"""``--epochs``: the schedule fitted to a number of epochs of the run's data."""

from __future__ import annotations

import copy
import logging

from mmengine.config import Config
from mmengine.registry import DefaultScope

from detkit.config.schedule.fit_epochs import fit_epochs
from detkit.config.schedule.fit_param_schedulers import warmup_ends
from detkit.config.schedule.fit_schedule import count_steps
from detkit.engine.runner import DetRunner
from detkit.errors import ConfigError

logger = logging.getLogger(__name__)

# A run that is in its warm-up for longer has hardly trained at its learning rate.
MAX_WARMUP = 0.5


def fit_to_epochs(cfg: Config, epochs: int) -> Config:
    """Return ``cfg`` with a schedule of ``epochs``; its training dataset is built to count a step.

    Args:
        cfg: the config of the run, complete; not changed.
        epochs: at least 1.

    Raises:
        ConfigError: the schedule cannot be fitted.
    """
    cfg = copy.deepcopy(cfg)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        epoch_length = len(DetRunner.build_dataloader(copy.deepcopy(cfg.train_dataloader), seed=0))
    report = fit_epochs(cfg, epochs, max(epoch_length, 1))
    warmup = f", warm-up {report.warmup_steps} steps" if report.warmup_steps else ""
    logger.info("--epochs %d: %d steps%s, validation every %d epochs", epochs,
                epochs * epoch_length, warmup, cfg.train_cfg.val_interval)
    return cfg


def warn_of_long_warmup(cfg: Config, epoch_length: int) -> None:
    """Log a warning if most of the run is warm-up, as with a small dataset.

    Args:
        cfg: the config of the run.
        epoch_length: number of steps of an epoch.
    """
    try:
        num_steps = count_steps(cfg, epoch_length)
    except ConfigError:
        return
    warmup = max(warmup_ends(cfg.get("param_scheduler"), num_steps, epoch_length), default=0)
    if warmup > MAX_WARMUP * num_steps:
        epochs = (cfg.get("train_cfg") or {}).get("max_epochs")
        logger.warning(
            "the warm-up of the learning rate takes %d of %d steps: the model will hardly learn. "
            "Pass %s to fit the schedule to the data", min(warmup, num_steps), num_steps,
            f"--epochs {epochs}" if epochs else "--minutes N")
