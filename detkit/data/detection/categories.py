"""The classes of a detection data set: one order for all splits, from their categories."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detkit.data.detection.annotations import RawSplit, Record
from detkit.data.report.class_aliases import (
    match_class_names,
    merge_class_names,
    normalize_name,
    note_normalized,
)
from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger


@dataclass
class CategoryMap:
    """Class names in order, and for each split the label of each category id.

    Args:
        names: class names in the order of their labels from 0.
        cat2label: split name -> category id as in the file -> label; -1 for a category that is
            not used as a class.
    """

    names: tuple[str, ...] = ()
    cat2label: dict[str, dict[Any, int]] = field(default_factory=dict)

    def count_boxes(self, splits: Iterable[RawSplit]) -> Counter[str]:
        """The number of annotations of each class in the files, valid or not."""
        counts: Counter[str] = Counter()
        for raw in splits:
            for record in raw.annotations:
                key = record.get("category_id")
                index = self.cat2label[raw.name].get(key, -1) if is_valid_id(key) else -1
                if index >= 0:
                    counts[self.names[index]] += 1
        return counts


def is_valid_id(value: object) -> bool:
    """Whether a value can be an id: a finite number or text, not a bool."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def resolve_categories(
    splits: Mapping[str, RawSplit],
    ledger: Ledger,
    expected: Sequence[str] | None = None,
    alphabetical: bool = False,
) -> CategoryMap:
    """Determine the classes of all splits together, and report categories that do not fit.

    Without ``expected`` the order is that of the categories of the first split, followed by those
    of later splits; or alphabetical. A category without boxes that is the supercategory of others
    is not a class. Spellings that differ in case, whitespace, underscores or hyphens are the same
    class, unless one split declares both.

    Args:
        splits: the split whose spelling and order take precedence first, usually train.
        ledger: receives the issues.
        expected: class names to map to, in order; a used category that is not among them is an
            error.
        alphabetical: sort the class names.
    """
    declared = {name: _declared_categories(raw, ledger) for name, raw in splits.items()}
    boxes = {name: _count_boxes_by_name(raw, declared[name]) for name, raw in splits.items()}
    used: Counter[str] = sum(boxes.values(), Counter())
    supercategories = _find_supercategories(splits, used, ledger, expected)
    names_by_split = {split: list(by_id.values()) for split, by_id in declared.items()}
    sources = {split: raw.source for split, raw in splits.items()}
    if expected is None:
        spelling = merge_class_names(names_by_split, sources, ledger)
        kept = dict.fromkeys(spelling[name]
                             for names in names_by_split.values()
                             for name in names
                             if name not in supercategories)
        order = tuple(sorted(kept) if alphabetical else kept)
    else:
        order = tuple(expected)
        spelling = match_class_names(names_by_split, boxes, sources, ledger, order, "box", "boxes")
    index = {name: number for number, name in enumerate(order)}
    return CategoryMap(order, {
        split: {key: index.get(spelling.get(name, name), -1) for key, name in by_id.items()}
        for split, by_id in declared.items()
    })


def _declared_categories(raw: RawSplit, ledger: Ledger) -> dict[Any, str]:
    """The normalized name of each category id, in the order of the file."""
    by_id: dict[Any, str] = {}
    names: set[str] = set()
    location = {"file": str(raw.source), "split": raw.name}
    for record in raw.categories:
        key, name = record.get("id"), record.get("name")
        if not is_valid_id(key) or not isinstance(name, str) or not name.strip():
            ledger.add("class_record", f"the category {record} has no valid id and name",
                       ERROR, **location)
            continue
        name = note_normalized(name, "the category name", ledger, **location)
        if key in by_id and by_id[key] != name:
            ledger.add("duplicate_category_id",
                       f"category id {key} is used for '{by_id[key]}' and for '{name}'",
                       ERROR, **location)
        elif key in by_id or name in names:
            ledger.add("duplicate_class", f"the category '{name}' is declared twice (id {key})",
                       "merged", **location)
        names.add(by_id.setdefault(key, name))
    return by_id


def _count_boxes_by_name(raw: RawSplit, by_id: Mapping[Any, str]) -> Counter[str]:
    ids = Counter(
        key for record in raw.annotations if is_valid_id(key := record.get("category_id"))
    )
    counts: Counter[str] = Counter()
    for key, number in ids.items():
        if key in by_id:
            counts[by_id[key]] += number
    return counts


def _find_supercategories(
    splits: Mapping[str, RawSplit], used: Counter[str], ledger: Ledger,
    expected: Sequence[str] | None,
) -> set[str]:
    def name_of(record: Record) -> str:
        return normalize_name(str(record.get("name")))

    records = [(raw, record) for raw in splits.values() for record in raw.categories]
    parents = {parent for _, record in records
               if isinstance(record.get("supercategory"), str)
               and (parent := normalize_name(record["supercategory"])) != name_of(record)}
    kept = set(map(normalize_name, expected or ()))
    supercategories: set[str] = set()
    for raw, record in records:
        name = name_of(record)
        if name in parents and not used[name] and name not in supercategories and name not in kept:
            supercategories.add(name)
            ledger.add("super_category",
                       f"category {record.get('id')} '{name}' has no box in any split and is the "
                       "supercategory of others: not a class", "left out",
                       file=str(raw.source))
    return supercategories
