"""Notes on how an image file was read, and where they are reported."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

LOGGER = logging.getLogger("detkit")


class ImageNote(NamedTuple):
    """One note on how an image file was read.

    Args:
        code: the type of note.
        message: a sentence without the file name.
        resolution: what was done, in two or three words.
    """

    code: str
    message: str
    resolution: str


NoteCallback = Callable[[ImageNote], None]
_logged: set[str] = set()


def log_once(path: str | Path) -> NoteCallback:
    """A callback that logs the first note of each code with the file name, once per process."""

    def log_note(note: ImageNote) -> None:
        if note.code not in _logged:
            _logged.add(note.code)
            LOGGER.warning("%s: %s (logged once; further such files are not listed)", path,
                           note.message)

    return log_note


def mark_logged(notes: Iterable[ImageNote]) -> None:
    """Keep `log_once` from logging notes that a ledger or a table of results reports."""
    _logged.update(note.code for note in notes)
