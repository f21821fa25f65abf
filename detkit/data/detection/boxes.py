"""Clean the boxes of an image: keep the valid ones, report the others."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from detkit.data.detection.annotations import PENDING_ISSUES_KEY, Record
from detkit.data.detection.categories import is_valid_id
from detkit.data.formats.shape_box import enclosing_box, rotation_degrees
from detkit.data.images.image_frame import Box, ImageFrame, ReportFn, orient_box, parse_box
from detkit.data.report.issue import ERROR

# The sum of two numbers rounded to 0.01 pixel may slightly exceed the image side.
CLIP_TOLERANCE = 0.05
KEPT_FIELDS = ("difficult", "truncated", "occluded", "object", "track_id", "voc_difficult")


def clean_box(record: Record, frame: ImageFrame, stored_wh: tuple[int, int],
              report: ReportFn) -> Box | None:
    """The box of an annotation, clipped to its image; None when it is not valid."""
    box = parse_box(record.get("bbox"))
    if box is None:
        report(
            "not_a_box", f"the box {record.get('bbox')!r} is not four finite numbers "
            "[x, y, width, height]", "left out")
        return None
    for note in record.get(PENDING_ISSUES_KEY, ()):
        report(*note)
    degrees = rotation_degrees(record)
    if degrees:
        enclosing = enclosing_box(box, degrees)
        report(
            "rotated_box", f"the box {list(box)} is rotated by {degrees:g} degrees about its "
            f"center; its axis-aligned bounding box is {list(enclosing)}",
            "replaced by the axis-aligned box")
        box = enclosing
    if frame.orientation != 1:
        box = orient_box(box, frame.orientation, stored_wh)
    left, top, width, height = box
    if width <= 0 or height <= 0:
        code = "negative_size_box" if width < 0 or height < 0 else "zero_size_box"
        report(code, f"the box {list(box)} has width {width} and height {height}", "left out")
        return None
    right, bottom = left + width, top + height
    size = f"{frame.width}x{frame.height}"
    if right <= 0 or bottom <= 0 or left >= frame.width or top >= frame.height:
        report("box_outside", f"the box {list(box)} is outside of the image of {size}", "left out")
        return None
    if (left < -CLIP_TOLERANCE or top < -CLIP_TOLERANCE or right > frame.width + CLIP_TOLERANCE
            or bottom > frame.height + CLIP_TOLERANCE):
        corners = max(left, 0), max(top, 0), min(right, frame.width), min(bottom, frame.height)
        clipped = corners[0], corners[1], corners[2] - corners[0], corners[3] - corners[1]
        report("box_clipped", f"the box {list(box)} exceeds the image of {size}",
               f"clipped to {list(clipped)}")
        box = clipped
    if box[2] < 1 or box[3] < 1:
        report("box_below_one_pixel", f"the box {list(box)} is less than a pixel wide or high",
               "kept as ground truth; mmdet's loader does not train on it")
    return box


def clean_area(record: Record, box: Box, report: ReportFn) -> float:
    """The area in square pixels: the annotated one where it is plausible, else the box's."""
    box_area = box[2] * box[3]
    annotated_area = record.get("area")
    if isinstance(annotated_area, bool) or not isinstance(annotated_area, (int, float)):
        return box_area
    if not 0 < annotated_area < math.inf:
        return box_area
    if list(box) != list(record["bbox"]):
        return min(annotated_area, box_area)
    # A mask exceeds its box by at most the pixels that the border of the box crosses.
    if annotated_area > (box[2] + 2) * (box[3] + 2):
        report("area_too_large",
               f"the area {annotated_area} is larger than that of the box {list(box)}",
               f"set to {box_area}")
        return box_area
    return annotated_area


def clean_boxes(
    records: Iterable[Record], frame: ImageFrame, stored_wh: tuple[int, int],
    cat2label: dict[Any, int], report: Any,
) -> list[Record]:
    """The cleaned annotations of an image, without ids.

    Args:
        records: COCO annotations of the image.
        frame: size and orientation of the image.
        stored_wh: size of the image as stored, in pixels.
        cat2label: label by category id; -1 for a category that is not used.
        report: receives the annotation record, code, message and resolution of an issue.
    """
    kept: list[Record] = []
    kept_by_box: dict[Box, dict[int, Record]] = {}
    for record in records:
        def report_issue(code: str, message: str, resolution: str, record: Record = record) -> None:
            report(record, code, message, resolution)

        key = record.get("category_id")
        index = cat2label.get(key) if is_valid_id(key) else None
        if index is None:
            name = ("the object has no name" if "object" in record
                    else f"category_id {key!r} is not among the file's {_format_ids(cat2label)}")
            report_issue("unknown_category", name, ERROR)
            continue
        if index < 0:
            continue  # its class is an error or not used, which is reported once for the class
        box = clean_box(record, frame, stored_wh, report_issue)
        if box is None:
            continue
        crowd = int(record.get("iscrowd") in (1, True))
        if record.get("ignore") in (1, True) and not crowd:
            report_issue("ignore_flag", "ignore is 1, which COCO's evaluation does not use",
                         "kept as iscrowd 1: neither object nor background")
            crowd = 1
        same_box = kept_by_box.setdefault(box, {})
        if index in same_box and same_box[index]["iscrowd"] == crowd:
            report_issue(
                "duplicate_box", f"its class and box {list(box)} are the same as in annotation "
                f"{same_box[index]['original_id']}", "merged")
            continue
        if same_box and index not in same_box:
            report_issue(
                "box_of_two_classes", f"the box {list(box)} has a different class in annotation "
                f"{next(iter(same_box.values()))['original_id']}", "kept")
        original_id = record.get("object", record.get("id"))
        cleaned: Record = {
            "category_id": index + 1, "bbox": list(box), "iscrowd": crowd,
            "area": clean_area(record, box, report_issue),
            "original_id": original_id if is_valid_id(original_id) else None,
        }
        cleaned.update({
            name: record[name]
            for name in KEPT_FIELDS
            if isinstance(record.get(name), (int, str))
        })
        same_box[index] = cleaned
        kept.append(cleaned)
    return kept


def _format_ids(ids: dict[Any, int]) -> str:
    if len(ids) <= 20:
        return str(list(ids))
    return f"{len(ids)}, {next(iter(ids))!r} to {next(reversed(ids))!r}"
