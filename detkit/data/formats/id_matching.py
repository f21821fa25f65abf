"""Ids in annotations that mean an image or category whose id is written as another type."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from detkit.data.detection.annotations import RawSplit, Record
from detkit.data.detection.categories import is_valid_id
from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger

# At most as many digits as an id of 64 bits has; Python refuses to read thousands of them.
INT_ID_PATTERN = re.compile(r"\s*([+-]?\d{1,20})(?:\.0*)?\s*")


def match_ids(raw: RawSplit, ledger: Ledger) -> None:
    """Give annotations the very ids of their images and categories: 3 for '3', '3' for 3.

    An id that is there as it is written stays. Where two ids have the same value, neither is
    chosen. When no annotation has the key at all, that is refused, with the key that may be
    meant.

    Args:
        raw: its annotations are changed in place.
        ledger: takes one line for each key, with the number of annotations.
    """
    for key, targets, noun in (("image_id", raw.images, "images"), ("category_id", raw.categories,
                                                                    "categories")):
        if raw.annotations and not any(key in record for record in raw.annotations):
            ledger.add("missing_key", _missing_key_message(raw.annotations, key, targets, noun),
                       ERROR, file=str(raw.source), split=raw.name)
            continue
        _match(raw, key, targets, noun, ledger)


def _match(raw: RawSplit, key: str, targets: list[Record], noun: str, ledger: Ledger) -> None:
    known = {found for record in targets if is_valid_id(found := record.get("id"))}
    by_value: dict[int, Any] = {}
    ambiguous = set()
    for found in known:
        value = parse_int_id(found)
        if value is not None and by_value.setdefault(value, found) != found:
            ambiguous.add(value)
    count, first = 0, None
    for record in raw.annotations:
        stated = record.get(key)
        if not is_valid_id(stated) or stated in known:
            continue
        value = parse_int_id(stated)
        if value is None or value not in by_value or value in ambiguous:
            continue
        record[key] = by_value[value]
        count += 1
        first = first or (stated, by_value[value], record.get("id"))
    if first is not None:
        ledger.add("id_of_another_type", f"{key} {first[0]!r} is {first[1]!r} among the {noun}, "
                   f"and so in {count} annotations", "matched by value", file=str(raw.source),
                   split=raw.name, annotation=first[2])


def parse_int_id(value: Any) -> int | None:
    """The whole number that an id is or is written as; None when it is none."""
    if isinstance(value, str):
        found = INT_ID_PATTERN.fullmatch(value)
        return int(found[1]) if found else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value)


def _missing_key_message(
    annotations: list[Record], key: str, targets: Iterable[Record], noun: str
) -> str:
    message = f"none of the {len(annotations)} annotations has '{key}'"
    values = {parse_int_id(found)
              for record in targets
              if is_valid_id(found := record.get("id"))} - {None}
    for other in annotations[0]:
        if other in ("id", "image_id", "category_id", "iscrowd", "area", "ignore"):
            continue
        found = [record.get(other) for record in annotations]
        if values and all(is_valid_id(item) and parse_int_id(item) in values for item in found):
            return f"{message}; their '{other}' holds ids of the {noun}: rename it to '{key}'"
    return f"{message}, which says what of the {noun} each belongs to"
