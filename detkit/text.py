"""Names that are nearly another, and texts made fit for a message."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Sequence

# To compare a name with so many takes about 0.1 s; nobody misses a hint among more.
MAX_COMPARED_NAMES = 5000
# Unicode's categories of control characters and of line and paragraph separators, and its
# classes of those that turn the direction of writing.
_CONTROL_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})
_BIDI_CONTROLS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def closest_name(name: str, candidates: Collection[str]) -> str | None:
    """The one of ``candidates`` that is most like ``name``; None when none is, or there are too
    many.

    The time is bounded: no more than 5,000 names of ordinary length are compared.
    """
    if len(candidates) > MAX_COMPARED_NAMES or len(name) > 200:
        return None
    near = difflib.get_close_matches(name, [item for item in candidates if len(item) <= 200], 1)
    return near[0] if near else None


def did_you_mean(name: str, candidates: Collection[str]) -> str:
    """The words "; did you mean 'X'?" with the nearest of ``candidates``; '' without one."""
    near = closest_name(name, candidates)
    return "" if near is None else f"; did you mean '{near}'?"


def shorten(text: str, limit: int) -> str:
    """A text of at most ``limit`` characters: a longer one with '...' for what stands behind."""
    return text if len(text) <= limit else text[:limit - 3] + "..."


def join_names(names: Sequence[object], limit: int, separator: str = ", ") -> str:
    """The first ``limit`` names, and how many more there are: "a, b and 3 more"."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return separator.join(map(str, names[:limit])) + more


def printable(text: str, keep: str = "") -> str:
    r"""``text`` without what would steer a terminal: control characters become \n, \x1b, ...

    A name in a file from elsewhere may hold them, and then move the cursor over other lines or
    turn the order of letters around.

    Args:
        keep: control characters that stay, such as the line breaks of a table.
    """
    if text.isprintable():
        return text
    return "".join(repr(char)[1:-1] if char not in keep and _is_control_char(char) else char
                   for char in text)


def _is_control_char(char: str) -> bool:
    return (unicodedata.category(char) in _CONTROL_CATEGORIES
            or unicodedata.bidirectional(char) in _BIDI_CONTROLS)
