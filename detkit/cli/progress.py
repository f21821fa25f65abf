"""A progress bar, or a sign of life, on stderr, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from detkit.text import printable


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Give a function to call after each of ``total`` things (None: not known beforehand).

    When stderr is not a terminal nothing is shown.
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
    """Show on stderr that something of unknown length is going on; nothing if no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    # Not as a str, in which a path's '[1]' would be read as markup.
    with Console(stderr=True).status(Text(printable(description))):
        yield
