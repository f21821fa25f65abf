"""Text of messages: suggestions for unknown names, lists of names, cut and escaped texts."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

# Comparing a name with this many takes about 0.1 s.
MAX_COMPARED_NAMES = 5000
MAX_NAME_CHARS = 200
# Unicode categories of control characters and of line and paragraph separators, and the
# bidirectional classes that change the direction of writing.
_CONTROL_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})
_BIDI_CONTROLS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def closest_names(
    name: str, candidates: Iterable[str], limit: int, cutoff: float = 0.6
) -> list[str]:
    """Return the candidates most similar to ``name``, ignoring case, the most similar first.

    Args:
        name: the unknown name.
        candidates: the known names. Of more than 5,000 none is compared; names of more than 200
            characters are skipped.
        limit: maximum number of names returned.
        cutoff: minimum similarity in [0, 1], difflib's ratio.
    """
    by_lower: dict[str, str] = {}
    for candidate in candidates:
        if len(candidate) <= MAX_NAME_CHARS:
            by_lower.setdefault(candidate.lower(), candidate)
    if len(by_lower) > MAX_COMPARED_NAMES or len(name) > MAX_NAME_CHARS:
        return []
    matches = difflib.get_close_matches(name.lower(), list(by_lower), limit, cutoff)
    return [by_lower[match] for match in matches]


def closest_name(name: str, candidates: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the first of `closest_names`, or None."""
    return next(iter(closest_names(name, candidates, 1, cutoff)), None)


def name_hint(name: str, candidates: Iterable[str]) -> str | None:
    """Return "did you mean 'X'?" with the closest candidate, or None; for an error's hint."""
    suggestion = closest_name(name, candidates)
    return None if suggestion is None else f"did you mean '{suggestion}'?"


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return "; did you mean 'X'?" with the closest candidate, or ''; for the end of a message."""
    hint = name_hint(name, candidates)
    return "" if hint is None else f"; {hint}"


def list_names(names: Iterable[object], limit: int = 5) -> str:
    """Join names for a message: "a, b, c", or "a, b and 7 more" above ``limit``."""
    items = [str(name) for name in names]
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def shorten(text: str, limit: int) -> str:
    """Cut ``text`` to at most ``limit`` characters; a cut text ends in '...'."""
    return text if len(text) <= limit else text[:limit - 3] + "..."


def printable(text: str, keep: str = "") -> str:
    r"""Escape the control characters of ``text`` as \n, \x1b, ...

    A name from an untrusted file may contain them, and would move the terminal's cursor or change
    the direction of writing.

    Args:
        keep: control characters left as they are, such as the line breaks of a table.
    """
    if text.isprintable():
        return text
    return "".join(repr(char)[1:-1] if char not in keep and _is_control_char(char) else char
                   for char in text)


def _is_control_char(char: str) -> bool:
    return (unicodedata.category(char) in _CONTROL_CATEGORIES
            or unicodedata.bidirectional(char) in _BIDI_CONTROLS)
