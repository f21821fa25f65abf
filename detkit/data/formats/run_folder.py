"""Folders that an earlier run wrote below a data set, which are no data: told by their ledger."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from detkit.files import open_regular

NAME = "ledger.json"
NAMED = 3
# A file of this name may be anybody's: what counts is that it begins as ``Ledger.write`` does.
_BEGINNING = re.compile(rb'\s*\{\s*"source":\s*"')


def is_run(folder: str | Path) -> bool:
    """Whether a run was written to a folder, or keeps its data in ``data`` there."""
    return any(_is_ledger(os.path.join(folder, name)) for name in (NAME, f"data/{NAME}"))


def holds_ledger(folder: str | Path) -> bool:
    """Whether the ledger of a data check lies directly in a folder."""
    return _is_ledger(os.path.join(folder, NAME))


def describe_runs(folders: Iterable[Path], root: Path) -> list[str]:
    """A note that names folders of runs as paths from ``root``; none for no folder."""
    names = [os.path.relpath(folder, root) for folder in folders]
    if not names:
        return []
    more = f" and {len(names) - NAMED} more" if names[NAMED:] else ""
    return [f"passed over, as an earlier run wrote there (its {NAME} says so): "
            + ", ".join(names[:NAMED]) + more]


def _is_ledger(path: str) -> bool:
    try:
        with open_regular(path) as file:
            return _BEGINNING.match(file.read(200)) is not None
    except OSError:
        return False
