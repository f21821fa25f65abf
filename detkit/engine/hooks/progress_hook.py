"""A progress bar of the training, shown only on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook


class _ProgressBarHook(Hook):  # type: ignore[misc]
    """Advances a rich progress bar by one step in each iteration."""

    priority = "LOWEST"

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task: Any = None

    def before_train(self, runner: Any) -> None:
        """Show the bar at the iteration at which the run starts or resumes."""
        self._task = self._bar.add_task("training", total=runner.max_iters, completed=runner.iter)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Advance the bar and show the epoch."""
        self._bar.update(self._task, completed=runner.iter + 1,
                         description=f"epoch {runner.epoch + 1} of {runner.max_epochs}")


@contextmanager
def progress_bar(runner: Any) -> Iterator[None]:
    """Show a progress bar below the log during the body, if stderr is a terminal."""
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
        # rich replaces sys.stderr; log lines written past it would break the bar.
        for handler in handlers:
            handler.setStream(sys.stderr)
        runner.register_hook(_ProgressBarHook(bar))
        try:
            yield
        finally:
            for handler in handlers:
                handler.setStream(terminal)
