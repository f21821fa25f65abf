"""Folders that an earlier run wrote below a data set, which are no data: told by their ledger."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from detkit.files import open_regular
from detkit.text import join_names

LEDGER_NAME = "ledger.json"
MAX_NAMED = 3
# A file of this name may be anybody's: what counts is that it begins as ``Ledger.write`` does.
_LEDGER_PATTERN = re.compile(rb'\s*\{\s*"source":\s*"')


def is_run_dir(folder: str | Path) -> bool:
    """Whether a run was written to a folder, or keeps its data in ``data`` there."""
    return any(
        _is_ledger(os.path.join(folder, name)) for name in (LEDGER_NAME, f"data/{LEDGER_NAME}"))


def has_ledger(folder: str | Path) -> bool:
    """Whether the ledger of a data check lies directly in a folder."""
    return _is_ledger(os.path.join(folder, LEDGER_NAME))


def describe_run_dirs(folders: Iterable[Path], root: Path) -> list[str]:
    """A note that names folders of runs as paths from ``root``; none for no folder."""
    names = [os.path.relpath(folder, root) for folder in folders]
    if not names:
        return []
    return [f"passed over, as an earlier run wrote there (its {LEDGER_NAME} says so): "
            + join_names(names, MAX_NAMED)]


def _is_ledger(path: str) -> bool:
    try:
        with open_regular(path) as file:
            return _LEDGER_PATTERN.match(file.read(200)) is not None
    except OSError:
        return False
