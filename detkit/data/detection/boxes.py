"""The boxes of one image: what can be used of them, and a line for each that cannot."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from detkit.data.detection.annotations import NOTES, Record
from detkit.data.detection.categories import is_id
from detkit.data.formats.shape_box import hull, rotation_of
from detkit.data.images.exif import Box, Frame, Say, as_box, turn_box
from detkit.data.report.ledger import REFUSED

# Two numbers rounded to 0.01 pixel may add up to a little more than the image's side.
SLACK = 0.05
CARRIED = ("difficult", "truncated", "occluded", "object", "track_id",
           "voc_difficult")


def clean_box(record: Record, frame: Frame, stored_wh: tuple[int, int], say: Say) -> Box | None:
    """The box of one annotation inside its image, or None when there is none to use."""
    box = as_box(record.get("bbox"))
    if box is None:
        say("not_a_box", f"the box {record.get('bbox')!r} is not four finite numbers "
            "[x, y, width, height]", "left out")
        return None
    for note in record.get(NOTES, ()):
        say(*note)
    degrees = rotation_of(record)
    if degrees:
        around = hull(box, degrees)
        say("rotated_box", f"the box {list(box)} is turned by {degrees:g} degrees about its "
            f"center, and reaches over {list(around)}", "the box around it taken")
        box = around
    if frame.turn != 1:
        box = turn_box(box, frame.turn, stored_wh)
    left, top, width, height = box
    if width <= 0 or height <= 0:
        kind = "negative_size_box" if width < 0 or height < 0 else "zero_size_box"
        say(kind, f"the box {list(box)} is {width} wide and {height} high", "left out")
        return None
    right, bottom = left + width, top + height
    size = f"{frame.width}x{frame.height}"
    if right <= 0 or bottom <= 0 or left >= frame.width or top >= frame.height:
        say("box_outside", f"the box {list(box)} lies outside the image of {size}", "left out")
        return None
    if (left < -SLACK or top < -SLACK or right > frame.width + SLACK
            or bottom > frame.height + SLACK):
        corners = max(left, 0), max(top, 0), min(right, frame.width), min(bottom, frame.height)
        clipped = corners[0], corners[1], corners[2] - corners[0], corners[3] - corners[1]
        say("box_clipped", f"the box {list(box)} reaches beyond the image of {size}",
            f"clipped to {list(clipped)}")
        box = clipped
    if box[2] < 1 or box[3] < 1:
        say("box_below_one_pixel", f"the box {list(box)} is less than a pixel wide or high",
            "kept as truth; mmdet's loader does not train on it")
    return box


def clean_area(record: Record, box: Box, say: Say) -> float:
    """Area in square pixels: the stated one if it can be the thing's, else the box's."""
    whole = box[2] * box[3]
    stated = record.get("area")
    if isinstance(stated, bool) or not isinstance(stated, (int, float)):
        return whole
    if not 0 < stated < math.inf:
        return whole
    if list(box) != list(record["bbox"]):
        return min(stated, whole)
    # A mask touches at most the pixels that the box's border cuts.
    if stated > (box[2] + 2) * (box[3] + 2):
        say("area_too_large", f"the area {stated} is more than the box {list(box)} holds",
            f"set to {whole}")
        return whole
    return stated


def clean_boxes(
    records: Iterable[Record], frame: Frame, stored_wh: tuple[int, int],
    index_of: dict[Any, int], say: Any,
) -> list[Record]:
    """Annotations of one image as they are to be written, without ids.

    Args:
        records: the image's COCO annotations.
        index_of: class index by category id; -1 for what is no class.
        say: takes the annotation record, then kind, finding and action.
    """
    kept: list[Record] = []
    seen: dict[Box, dict[int, Record]] = {}
    for record in records:
        def say_here(kind: str, what: str, action: str, record: Record = record) -> None:
            say(record, kind, what, action)

        key = record.get("category_id")
        index = index_of.get(key) if is_id(key) else None
        if index is None:
            name = ("the object has no name" if "object" in record
                    else f"category_id {key!r} is none of the file's {_some(index_of)}")
            say_here("unknown_category", name, REFUSED)
            continue
        if index < 0:
            continue  # its class was refused or left out as a whole, with a line of its own
        box = clean_box(record, frame, stored_wh, say_here)
        if box is None:
            continue
        crowd = int(record.get("iscrowd") in (1, True))
        if record.get("ignore") in (1, True) and not crowd:
            say_here("ignore_flag", "ignore is 1, which COCO's evaluation does not read",
                     "kept as iscrowd 1: neither thing nor background")
            crowd = 1
        same = seen.setdefault(box, {})
        if index in same and same[index]["iscrowd"] == crowd:
            say_here("duplicate_box", f"the same class and box {list(box)} as annotation "
                     f"{same[index]['original_id']}", "merged")
            continue
        if same and index not in same:
            say_here("box_of_two_classes", f"the box {list(box)} has another class in annotation "
                     f"{next(iter(same.values()))['original_id']}", "kept")
        own_id = record.get("object", record.get("id"))
        fresh: Record = {
            "category_id": index + 1, "bbox": list(box), "iscrowd": crowd,
            "area": clean_area(record, box, say_here),
            "original_id": own_id if is_id(own_id) else None,
        }
        fresh.update({name: record[name] for name in CARRIED
                      if isinstance(record.get(name), (int, str))})
        same[index] = fresh
        kept.append(fresh)
    return kept


def _some(ids: dict[Any, int]) -> str:
    if len(ids) <= 20:
        return str(list(ids))
    return f"{len(ids)}, {next(iter(ids))!r} to {next(reversed(ids))!r}"
