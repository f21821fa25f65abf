"""Spellings of class names: which of several splits' names are one class."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from detkit.data.report.ledger import REFUSED, Ledger
from detkit.text import hint

Declared = Mapping[str, Collection[str]]
# A file of other classes altogether has as many unknown names as it has classes.
MOST_HINTS = 20


def tidy(name: str) -> str:
    """A name with single blanks, none at its ends, and its accents composed (Unicode NFC).

    What looks the same is the same then: a name written on macOS often has its accents apart.
    """
    return " ".join(unicodedata.normalize("NFC", name).split())


def note_tidied(name: str, thing: str, ledger: Ledger, **place: Any) -> str:
    """``tidy(name)``, with a line in the ledger where that is another name.

    Args:
        name: as declared.
        thing: what bears it, as 'the category name'.
        place: of the ledger's line.
    """
    done = tidy(name)
    if " ".join(name.split()) != name:
        ledger.add("class_name_blanks", f"{thing} {name!r} is read as '{done}'", "trimmed", **place)
    elif done != name:
        # Printed, the two look alike.
        ledger.add("class_name_accents", f"{thing} {ascii(name)} is read as '{done}', its accents "
                   "composed (Unicode NFC)", "composed", **place)
    return done


def near_key(name: str) -> str:
    """What is left of a name without case, blanks, underscores and hyphens."""
    return re.sub(r"[\s_\-]+", "", unicodedata.normalize("NFC", name).casefold())


def merge_spellings(
    declared: Declared, sources: Mapping[str, Path], ledger: Ledger
) -> dict[str, str]:
    """Decide which names of several splits are one class.

    Names with the same ``near_key`` are, under the spelling that comes first, unless one split
    has both of them.

    Args:
        declared: the names of each split, train first.
        sources: of each split, for the ledger.

    Returns:
        Name as declared -> name as decided, for every name.
    """
    by_key: dict[str, dict[str, str]] = {}
    sets = [set(names) for names in declared.values()]
    for split, names in declared.items():
        for name in names:
            by_key.setdefault(near_key(name), {}).setdefault(name, split)
    decided: dict[str, str] = {}
    for alike in by_key.values():
        first = next(iter(alike))
        together = any(sum(name in names for name in alike) > 1 for names in sets)
        for name, split in alike.items():
            decided[name] = name if together else first
            if name != first:
                ledger.add("near_class_names", f"the class names '{first}' and '{name}' are nearly "
                           "the same", "kept apart: one split has both" if together
                           else f"merged into '{first}'", file=str(sources[split]), split=split)
    return decided


def match_spellings(
    declared: Declared, counts: Mapping[str, Mapping[str, int]], sources: Mapping[str, Path],
    ledger: Ledger, wanted: Sequence[str], thing: str, things: str,
) -> dict[str, str]:
    """Decide which of the wanted classes each name means; a used name that is none is refused.

    Args:
        declared: the names of each split.
        counts: of each split, how many things bear each name.
        sources: of each split, for the ledger.
        wanted: the classes there are.
        thing, things: what is counted, as 'box' and 'boxes'.

    Returns:
        Name as declared -> name as wanted; a name that is none of them is missing.
    """
    by_key: dict[str, list[str]] = {}
    there, hints = set(wanted), 0
    for name in wanted:
        by_key.setdefault(near_key(name), []).append(name)
    decided: dict[str, str] = {}
    for split, names in declared.items():
        place = {"file": str(sources[split]), "split": split}
        for name in dict.fromkeys(names):
            alike = by_key.get(near_key(name), [])
            if name in there:
                decided[name] = name
            elif len(alike) == 1:
                decided[name] = alike[0]
                ledger.add("near_class_names", f"the class '{name}' is read as '{alike[0]}'",
                           f"merged into '{alike[0]}'", **place)
            elif counts[split].get(name):
                hints += 1
                meant = hint(name, wanted) if hints <= MOST_HINTS else ""
                ledger.add("unknown_class", f"the class '{name}' has {counts[split][name]} "
                           f"{things} but is none of the {len(wanted)} classes{meant}", REFUSED,
                           **place)
            else:
                ledger.add("unused_class", f"the class '{name}' has no {thing} and is none of the "
                           f"{len(wanted)} classes", "left out", **place)
    return decided
