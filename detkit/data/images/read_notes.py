"""What reading an image file had to decide, and who is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

LOGGER = logging.getLogger("detkit")


class ImageNote(NamedTuple):
    """One decision about an image file.

    Args:
        code: short name, the same for all notes of a sort.
        message: the finding and what was done, as a sentence without the file's name.
        resolution: what was done, in two or three words.
    """

    code: str
    message: str
    resolution: str


NoteCallback = Callable[[ImageNote], None]
_logged: set[str] = set()


def log_once(path: str | Path) -> NoteCallback:
    """What logs the first note of each kind with the file's name, once in this process."""

    def log_note(note: ImageNote) -> None:
        if note.code not in _logged:
            _logged.add(note.code)
            LOGGER.warning("%s: %s (said once; other files alike are not named)", path,
                           note.message)

    return log_note


def mark_logged(notes: Iterable[ImageNote]) -> None:
    """Keep `log_once` from saying what a ledger or a table of results says already."""
    _logged.update(note.code for note in notes)
