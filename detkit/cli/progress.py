"""A progress bar or a status line on stderr; shown on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from detkit.text import printable


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each of ``total`` items (None: unknown).

    If stderr is not a terminal, nothing is shown.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def status(description: str) -> Iterator[None]:
    """Show a status line on stderr; nothing if stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    # A str would be parsed as markup, such as '[1]' in a path.
    with Console(stderr=True).status(Text(printable(description))):
        yield
