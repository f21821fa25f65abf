"""``--epochs``: a config's schedule, fitted to another number of epochs."""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.config import Config

from detkit.config.overrides import ensure_not_set
from detkit.config.schedule.fit_schedule import (
    FitReport,
    RunLength,
    count_validations,
    fit_components,
    is_planned,
)
from detkit.errors import ConfigError


def check_epochs(cfg: Mapping[str, object], options: Mapping[str, object] | None = None) -> None:
    """Check that the length of a config's run is a number of epochs, which nothing else sets.

    Args:
        cfg: the config.
        options: those of ``--cfg-options``.

    Raises:
        ConfigError: its loop counts iterations or was planned by ``--minutes``, or an option sets
            the length too.
    """
    train_cfg = cfg.get("train_cfg")
    if is_planned(cfg):
        raise ConfigError("--epochs: the config has the schedule of a run with --minutes",
                          hint="use the config that it was made from")
    if not isinstance(train_cfg, Mapping) or not train_cfg.get("max_epochs"):
        raise ConfigError("--epochs: the config's train_cfg has no max_epochs",
                          hint="a loop over iterations has --cfg-options train_cfg.max_iters=N")
    ensure_not_set("--epochs", "train_cfg.max_epochs", options or {})


def fit_epochs(cfg: Config, epochs: int, epoch_length: int) -> FitReport:
    """Fit the schedule of ``cfg`` to ``epochs``, in place.

    Learning rates, milestones, averages of the weights and switches of the data come after the same
    fraction of the run; the warm-up takes at most a tenth of it. There are as many validations as
    in the config, or one an epoch.

    Args:
        cfg: a config whose length is a number of epochs, see `check_epochs`.
        epochs: of the new run, at least 1.
        epoch_length: number of steps of an epoch.

    Raises:
        ConfigError: a scheduler follows a validation score, so it has no length.
    """
    num_validations = count_validations(cfg)
    report = fit_components(cfg, RunLength(epochs * epoch_length, epoch_length, num_validations,
                                           epoch_length))
    scale = epochs / cfg.train_cfg.max_epochs
    if cfg.train_cfg.get("val_begin"):
        cfg.train_cfg.val_begin = max(1, round(cfg.train_cfg.val_begin * scale))
    cfg.train_cfg.max_epochs = epochs
    cfg.train_cfg.val_interval = max(1, epochs // max(num_validations, 1))
    if cfg.train_cfg.get("dynamic_intervals"):
        cfg.train_cfg.dynamic_intervals = [
            (max(1, round(begin * scale)), interval)
            for begin, interval in cfg.train_cfg.dynamic_intervals]
    return report
