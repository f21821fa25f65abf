"""A bar that shows how far a training is, on a terminal only."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook


class _ProgressBarHook(Hook):  # type: ignore[misc]
    """Moves a rich bar one step for each iteration."""

    priority = "LOWEST"

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task: Any = None

    def before_train(self, runner: Any) -> None:
        """Show the bar, at the iteration that the run begins or resumes at."""
        self._task = self._bar.add_task("training", total=runner.max_iters, completed=runner.iter)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Move the bar, and show the epoch."""
        self._bar.update(self._task, completed=runner.iter + 1,
                         description=f"epoch {runner.epoch + 1} of {runner.max_epochs}")


@contextmanager
def progress_bar(runner: Any) -> Iterator[None]:
    """Show a bar below the log while the body trains; nothing unless stderr is a terminal."""
    if not (is_main_process() and sys.stderr.isatty()):
        yield
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn(), TimeRemainingColumn())
    terminal = sys.stderr
    handlers = [h for h in runner.logger.handlers
                if isinstance(h, logging.StreamHandler) and h.stream is terminal]
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as bar:
        # rich puts its own stderr in place; log lines that went around it would tear the bar.
        for handler in handlers:
            handler.setStream(sys.stderr)
        runner.register_hook(_ProgressBarHook(bar))
        try:
            yield
        finally:
            for handler in handlers:
                handler.setStream(terminal)
