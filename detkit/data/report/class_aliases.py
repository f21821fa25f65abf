"""Spellings of class names: which names of different splits mean the same class."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger
from detkit.text import did_you_mean

DeclaredNames = Mapping[str, Collection[str]]
# A file of entirely different classes has as many unknown names as classes.
MAX_HINTS = 20


def normalize_name(name: str) -> str:
    """A name without surrounding or repeated whitespace, in Unicode NFC.

    Names that look the same are then equal: macOS often writes accents as separate characters.
    """
    return " ".join(unicodedata.normalize("NFC", name).split())


def note_normalized(name: str, noun: str, ledger: Ledger, **location: Any) -> str:
    """``normalize_name(name)``, with an issue in the ledger where that differs from the name.

    Args:
        name: as declared.
        noun: for the message, such as 'the category name'.
        ledger: receives the issue.
        location: of the issue.
    """
    normalized = normalize_name(name)
    if " ".join(name.split()) != name:
        ledger.add("class_name_blanks", f"{noun} {name!r} is read as '{normalized}'", "trimmed",
                   **location)
    elif normalized != name:
        # In print, both look the same.
        ledger.add(
            "class_name_accents", f"{noun} {ascii(name)} is read as '{normalized}', its accents "
            "composed (Unicode NFC)", "composed", **location)
    return normalized


def spelling_key(name: str) -> str:
    """A name without case, whitespace, underscores and hyphens."""
    return re.sub(r"[\s_\-]+", "", unicodedata.normalize("NFC", name).casefold())


def merge_class_names(
    declared: DeclaredNames, sources: Mapping[str, Path], ledger: Ledger
) -> dict[str, str]:
    """Merge the spellings of class names over all splits.

    Names with the same ``spelling_key`` are merged into the first spelling, unless one split has
    both of them.

    Args:
        declared: the names of each split, train first.
        sources: the file or folder of each split, for the ledger.
        ledger: receives the issues.

    Returns:
        The merged name of every declared name.
    """
    by_key: dict[str, dict[str, str]] = {}
    sets = [set(names) for names in declared.values()]
    for split, names in declared.items():
        for name in names:
            by_key.setdefault(spelling_key(name), {}).setdefault(name, split)
    resolved: dict[str, str] = {}
    for same_key in by_key.values():
        canonical = next(iter(same_key))
        in_one_split = any(sum(name in names for name in same_key) > 1 for names in sets)
        for name, split in same_key.items():
            resolved[name] = name if in_one_split else canonical
            if name != canonical:
                ledger.add(
                    "near_class_names", f"the class names '{canonical}' and '{name}' are almost "
                    "equal", "kept apart: one split has both" if in_one_split else
                    f"merged into '{canonical}'", file=str(sources[split]), split=split)
    return resolved


def match_class_names(
    declared: DeclaredNames, counts: Mapping[str, Mapping[str, int]], sources: Mapping[str, Path],
    ledger: Ledger, expected: Sequence[str], noun: str, plural_noun: str,
) -> dict[str, str]:
    """Map class names to the expected classes; an unknown name that is used is an error.

    Args:
        declared: the names of each split.
        counts: of each split, the number of uses of each name.
        sources: the file or folder of each split, for the ledger.
        ledger: receives the issues.
        expected: the class names to map to.
        noun, plural_noun: what is counted, such as 'box' and 'boxes'.

    Returns:
        The expected name of each declared name; unknown names are missing.
    """
    by_key: dict[str, list[str]] = {}
    known, hints = set(expected), 0
    for name in expected:
        by_key.setdefault(spelling_key(name), []).append(name)
    resolved: dict[str, str] = {}
    for split, names in declared.items():
        location = {"file": str(sources[split]), "split": split}
        for name in dict.fromkeys(names):
            same_key = by_key.get(spelling_key(name), [])
            if name in known:
                resolved[name] = name
            elif len(same_key) == 1:
                resolved[name] = same_key[0]
                ledger.add("near_class_names", f"the class '{name}' is read as '{same_key[0]}'",
                           f"merged into '{same_key[0]}'", **location)
            elif counts[split].get(name):
                hints += 1
                suggestion = did_you_mean(name, expected) if hints <= MAX_HINTS else ""
                ledger.add(
                    "unknown_class", f"the class '{name}' has {counts[split][name]} "
                    f"{plural_noun} but is none of the {len(expected)} classes{suggestion}", ERROR,
                    **location)
            else:
                ledger.add("unused_class", f"the class '{name}' has no {noun} and is none of the "
                           f"{len(expected)} classes", "left out", **location)
    return resolved
