"""Names that are nearly another, and texts cut for a message."""

from __future__ import annotations

import difflib
from collections.abc import Collection

# To compare a name with so many takes about 0.1 s; nobody misses a hint among more.
MOST_COMPARED = 5000


def near_name(name: str, known: Collection[str]) -> str | None:
    """The one of ``known`` that is most like ``name``; None when none is, or there are too many.

    The time is bounded: no more than 5,000 names of ordinary length are compared.
    """
    if len(known) > MOST_COMPARED or len(name) > 200:
        return None
    near = difflib.get_close_matches(name, [item for item in known if len(item) <= 200], 1)
    return near[0] if near else None


def hint(name: str, known: Collection[str]) -> str:
    """The words "; did you mean 'X'?" with the nearest of ``known``; '' without one."""
    near = near_name(name, known)
    return "" if near is None else f"; did you mean '{near}'?"


def shorten(text: str, limit: int) -> str:
    """A text of at most ``limit`` characters: a longer one with '...' for what stands behind."""
    return text if len(text) <= limit else text[:limit - 3] + "..."
