"""Match ids of annotations to images and categories where the types differ, such as 3 and '3'."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from detkit.data.detection.annotations import RawSplit, Record
from detkit.data.detection.categories import is_valid_id
from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger

# At most the digits of a 64-bit integer; int() rejects thousands of them.
INT_ID_PATTERN = re.compile(r"\s*([+-]?\d{1,20})(?:\.0*)?\s*")


def match_ids(raw: RawSplit, ledger: Ledger) -> None:
    """Replace ids in annotations by the equal ids of images and categories: '3' by 3, 3 by '3'.

    An id that exists as written is kept. Where two ids have the same value, neither is used. A
    key that no annotation has is an error, with a suggestion of the key that may be its name.

    Args:
        raw: its annotations are changed in place.
        ledger: receives one issue for each key, with the number of annotations.
    """
    for key, targets, noun in (
        ("image_id", raw.images, "images"),
        ("category_id", raw.categories, "categories"),
    ):
        if raw.annotations and not any(key in record for record in raw.annotations):
            ledger.add("missing_key", _missing_key_message(raw.annotations, key, targets, noun),
                       ERROR, file=str(raw.source), split=raw.name)
            continue
        _match(raw, key, targets, noun, ledger)


def _match(raw: RawSplit, key: str, targets: list[Record], noun: str, ledger: Ledger) -> None:
    target_ids = {target_id for record in targets if is_valid_id(target_id := record.get("id"))}
    by_value: dict[int, Any] = {}
    ambiguous = set()
    for target_id in target_ids:
        value = parse_int_id(target_id)
        if value is not None and by_value.setdefault(value, target_id) != target_id:
            ambiguous.add(value)
    count, first = 0, None
    for record in raw.annotations:
        reference = record.get(key)
        if not is_valid_id(reference) or reference in target_ids:
            continue
        value = parse_int_id(reference)
        if value is None or value not in by_value or value in ambiguous:
            continue
        record[key] = by_value[value]
        count += 1
        first = first or (reference, by_value[value], record.get("id"))
    if first is not None:
        ledger.add("id_of_another_type", f"{key} {first[0]!r} is written {first[1]!r} in the "
                   f"{noun}; {count} annotations have such ids", "matched by value",
                   file=str(raw.source),
                   split=raw.name, annotation=first[2])


def parse_int_id(value: Any) -> int | None:
    """The integer value of an id, given as a number or as text; None when it has none."""
    if isinstance(value, str):
        match = INT_ID_PATTERN.fullmatch(value)
        return int(match[1]) if match else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value)


def _missing_key_message(
    annotations: list[Record], key: str, targets: Iterable[Record], noun: str
) -> str:
    message = f"none of the {len(annotations)} annotations has '{key}'"
    values = {parse_int_id(target_id) for record in targets
              if is_valid_id(target_id := record.get("id"))} - {None}
    for other in annotations[0]:
        if other in ("id", "image_id", "category_id", "iscrowd", "area", "ignore"):
            continue
        references = [record.get(other) for record in annotations]
        if values and all(is_valid_id(item) and parse_int_id(item) in values
                          for item in references):
            return f"{message}; their '{other}' holds ids of the {noun}: rename it to '{key}'"
    return f"{message}, the id of one of the {noun}"
