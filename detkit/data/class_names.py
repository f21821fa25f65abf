"""The classes of labelled pictures: one order and one spelling for all splits."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence

from detkit.data.class_record import RawClassSplit
from detkit.data.classes import near_key
from detkit.data.ledger import REFUSED, Ledger

Spelling = dict[str, dict[str, str]]


def decide_class_names(
    splits: Mapping[str, RawClassSplit], ledger: Ledger, wanted: Sequence[str] | None = None
) -> tuple[tuple[str, ...], Spelling]:
    """Decide the classes of all splits together and note what does not fit.

    Spellings that differ in case, blanks, underscores or hyphens are one class, unless one split
    has both.

    Args:
        splits: in the order in which their spelling counts, train first.
        wanted: the classes to map to, in order; a name with pictures that is none of them is
            refused.

    Returns:
        The names in the order of their labels, sorted unless ``wanted`` says otherwise; and for
        each split, name as declared -> name as decided. A name that is no class is missing there.
    """
    if wanted is None:
        spelling = _one_spelling(splits, ledger)
        return tuple(sorted({name for by in spelling.values() for name in by.values()})), spelling
    return tuple(wanted), _wanted_spelling(splits, ledger, wanted)


def _one_spelling(splits: Mapping[str, RawClassSplit], ledger: Ledger) -> Spelling:
    by_key: dict[str, dict[str, str]] = {}
    for split, raw in splits.items():
        for name in raw.classes:
            by_key.setdefault(near_key(name), {}).setdefault(name, split)
    decided: dict[str, str] = {}
    for names in by_key.values():
        first = next(iter(names))
        together = any(len(set(names) & set(raw.classes)) > 1 for raw in splits.values())
        for name, split in names.items():
            decided[name] = name if together else first
            if name != first:
                ledger.add("near_class_names", f"the class names '{first}' and '{name}' are nearly "
                           "the same", "kept apart: one split has both" if together
                           else f"merged into '{first}'",
                           file=str(splits[split].source), split=split)
    return {split: {name: decided[name] for name in raw.classes} for split, raw in splits.items()}


def _wanted_spelling(
    splits: Mapping[str, RawClassSplit], ledger: Ledger, wanted: Sequence[str]
) -> Spelling:
    by_key: dict[str, list[str]] = {}
    for name in wanted:
        by_key.setdefault(near_key(name), []).append(name)
    spelling: Spelling = {}
    for split, raw in splits.items():
        place = {"file": str(raw.source), "split": split}
        counts = Counter(record.label for record in raw.records)
        spelling[split] = {}
        for name in raw.classes:
            alike = by_key.get(near_key(name), [])
            if name in wanted:
                spelling[split][name] = name
            elif len(alike) == 1:
                spelling[split][name] = alike[0]
                ledger.add("near_class_names", f"the class '{name}' is read as '{alike[0]}'",
                           f"merged into '{alike[0]}'", **place)
            elif counts[name]:
                near = difflib.get_close_matches(name, wanted, 1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                ledger.add("unknown_class", f"the class '{name}' has {counts[name]} images but is "
                           f"none of the {len(wanted)} classes{hint}", REFUSED, **place)
            else:
                ledger.add("unused_class", f"the class '{name}' has no image and is none of the "
                           f"{len(wanted)} classes", "left out", **place)
    return spelling
