"""Output folders of earlier runs below a data set, which are not read: known by their ledger."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from detkit.files import open_regular
from detkit.text import list_names

LEDGER_NAME = "ledger.json"
MAX_LISTED = 3
# Other programs may write a file of this name, too: its first key must be ``Ledger.write``'s.
_LEDGER_PATTERN = re.compile(rb'\s*\{\s*"source":\s*"')


def is_run_dir(folder: str | Path) -> bool:
    """Whether a folder, or its subfolder ``data``, is the output of a data check."""
    return any(
        _is_ledger(os.path.join(folder, name)) for name in (LEDGER_NAME, f"data/{LEDGER_NAME}"))


def has_ledger(folder: str | Path) -> bool:
    """Whether the ledger of a data check lies directly in a folder."""
    return _is_ledger(os.path.join(folder, LEDGER_NAME))


def describe_run_dirs(folders: Iterable[Path], root: Path) -> list[str]:
    """A note that lists output folders of runs relative to ``root``; empty without folders."""
    names = [os.path.relpath(folder, root) for folder in folders]
    if not names:
        return []
    return [f"not read, as they are output of an earlier run (they hold its {LEDGER_NAME}): "
            + list_names(names, MAX_LISTED)]


def _is_ledger(path: str) -> bool:
    try:
        with open_regular(path) as file:
            return _LEDGER_PATTERN.match(file.read(200)) is not None
    except OSError:
        return False
