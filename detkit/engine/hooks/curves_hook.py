"""Plots the curves of a run into its work dir."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner.loops import IterBasedTrainLoop

from detkit.engine.training_curves import VALIDATION_ITERS, training_curves
from detkit.registry import HOOKS
from detkit.text import printable, shorten
from detkit.visualization.curves_plot import TrainingCurves, plot_curves

CURVES_FILE = "curves.png"


@HOOKS.register_module()
class CurvesHook(Hook):  # type: ignore[misc]
    """Writes ``curves.png``: losses, validation scores and the learning rate.

    It is plotted after a validation and at the end of the training. A plot that fails is a warning.

    Args:
        min_interval: seconds; a validation sooner after the last plot is plotted with the next.
    """

    # After the scores are in the message hub and the log, before a best checkpoint is saved.
    priority = "LOW"

    def __init__(self, min_interval: float = 20.0) -> None:
        self.min_interval = min_interval
        self._plotted_at = time.monotonic()

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Note the iteration of the validation, and plot."""
        runner.message_hub.update_scalar(VALIDATION_ITERS, runner.iter)
        if time.monotonic() - self._plotted_at >= self.min_interval:
            self._plot(runner)

    def after_train(self, runner: Any) -> None:
        """Plot the whole training."""
        self._plot(runner)

    @master_only  # type: ignore[untyped-decorator]
    def _plot(self, runner: Any) -> None:
        path = Path(runner.work_dir, CURVES_FILE)
        # A plot is worth no training: whatever fails in it, a font or a full disk, is one line.
        try:
            done, total, unit = training_progress(runner)
            name = shorten(printable(Path(runner.work_dir).name), 50)
            plot_curves(hub_curves(runner), path, f"{name}: {unit} {done:.9g} of {total:.9g}")
        except Exception as error:
            runner.logger.warning(f"{path}: not plotted ({type(error).__name__}: {error})")
        self._plotted_at = time.monotonic()


def hub_curves(runner: Any) -> TrainingCurves:
    """The curves of a runner's training so far."""
    scalars = {name: buffer.data[0] for name, buffer in runner.message_hub.log_scalars.items()}
    return training_curves(scalars, runner.iter, _epoch_length(runner))


def training_progress(runner: Any) -> tuple[float, float, str]:
    """How far a training is: done and planned, and the unit.

    Epochs to one decimal; iterations if the loop counts them, or the plan is less than an epoch.
    """
    length = _epoch_length(runner)
    if length is None or runner.max_iters < length:
        return runner.iter, runner.max_iters, "iteration"
    return round(runner.iter / length, 1), round(runner.max_iters / length, 1), "epoch"


def _epoch_length(runner: Any) -> int | None:
    """Number of iterations of an epoch; None if the training counts iterations only."""
    return (None if isinstance(runner.train_loop, IterBasedTrainLoop)
            else len(runner.train_dataloader))
