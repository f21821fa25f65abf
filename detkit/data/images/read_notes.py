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
        kind: short name, the same for all notes of a sort.
        what: the finding and what was done, as a sentence without the file's name.
        action: what was done, in two or three words.
    """

    kind: str
    what: str
    action: str


TakeNote = Callable[[ImageNote], None]
_logged: set[str] = set()


def log_once(path: str | Path) -> TakeNote:
    """What logs the first note of each kind with the file's name, once in this process."""

    def take(note: ImageNote) -> None:
        if note.kind not in _logged:
            _logged.add(note.kind)
            LOGGER.warning("%s: %s (said once; other files alike are not named)", path, note.what)

    return take


def mark_logged(notes: Iterable[ImageNote]) -> None:
    """Keep `log_once` from saying what a ledger or a table of results says already."""
    _logged.update(note.kind for note in notes)
