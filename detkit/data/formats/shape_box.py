"""Bounding boxes of other shapes: of a mask, and of a rotated rectangle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from detkit.data.detection.annotations import PENDING_ISSUES_KEY, Record
from detkit.data.images.image_frame import Box, parse_box

# Largest distance in pixels between the vertices of a polygon and the corners of its rectangle.
CORNER_TOLERANCE = 1.0


def pop_mask_to_bbox(record: Record) -> bool:
    """Remove a record's mask; where the record has no valid box, the mask's box is its box.

    A box that is missing, invalid, or without area is replaced by the box of the mask. So is a
    rotated box with a mask, which then is no longer marked as rotated.

    Args:
        record: COCO annotation, or any other object of the file; changed in place.

    Returns:
        Whether there was a mask.
    """
    mask = record.pop("segmentation", None)
    if not mask:
        return False
    annotated_box = parse_box(record.get("bbox"))
    usable = annotated_box is not None and annotated_box[2] != 0 and annotated_box[3] != 0
    if usable and not rotation_degrees(record):
        return True
    outline = mask_to_xywh(mask)
    if outline is None:
        if not usable:
            record.setdefault(PENDING_ISSUES_KEY, [])  # it is an object, even with a bad mask
        return True
    if not usable:
        problem = f"its bbox is {record['bbox']!r}" if "bbox" in record else "it has no bbox"
        record["bbox"] = list(outline)
        add_pending_issue(record, "box_from_mask", f"{problem}, and its segmentation has the box "
                          f"{list(outline)}", "replaced by the segmentation's box")
        record["attributes"] = {}
    elif annotated_box is not None and not _is_rectangle(mask, annotated_box):
        record["attributes"] = {}
        if max(abs(a - b) for a, b in zip(annotated_box, outline)) > CORNER_TOLERANCE:
            record["bbox"] = list(outline)
            add_pending_issue(
                record, "rotated_box", f"the box {list(annotated_box)} is rotated, and its "
                f"segmentation has the box {list(outline)}", "replaced by the segmentation's box")
    return True


def add_pending_issue(record: Record, code: str, message: str, resolution: str) -> None:
    """Keep an issue in its annotation, to be reported when the image is checked."""
    record.setdefault(PENDING_ISSUES_KEY, []).append((code, message, resolution))


def mask_to_xywh(mask: Any) -> Box | None:
    """The bounding box of a COCO segmentation.

    Args:
        mask: polygons as lists of x, y, or a run-length encoding.

    Returns:
        left, top, width, height in pixels; None for anything else, or a mask without area.
    """
    if isinstance(mask, dict):
        return _rle_to_xywh(mask)
    if not isinstance(mask, list):
        return None
    numbers = list(_flatten_numbers(mask))
    if len(numbers) < 6 or len(numbers) % 2:
        return None
    xs, ys = numbers[::2], numbers[1::2]
    left, top = min(xs), min(ys)
    box = parse_box([left, top, max(xs) - left, max(ys) - top])
    return box if box is not None and box[2] > 0 and box[3] > 0 else None


def _flatten_numbers(mask: list[Any]) -> Iterator[Any]:
    """All numbers of nested lists; NaN for anything else, which gives no box."""
    for item in mask:
        if isinstance(item, list):
            yield from _flatten_numbers(item)
        elif isinstance(item, (int, float)) and not isinstance(item, bool):
            yield item
        else:
            yield math.nan


def _rle_to_xywh(mask: dict[str, Any]) -> Box | None:
    size, counts = mask.get("size"), mask.get("counts")
    if not (isinstance(size, list) and len(size) == 2
            and all(isinstance(side, int) and 0 < side < 2**15 for side in size)):
        return None
    from pycocotools import mask as coco_mask

    if isinstance(counts, list):
        if not all(isinstance(run, int) and run >= 0 for run in counts):
            return None
        if sum(counts) != size[0] * size[1]:
            return None
        encoded = coco_mask.frPyObjects(mask, *size)
    elif isinstance(counts, str) and counts.isascii():
        encoded = {"size": size, "counts": counts.encode("ascii")}
    else:
        return None
    left, top, width, height = (int(value) for value in coco_mask.toBbox(encoded))
    return (left, top, width, height) if width > 0 and height > 0 else None


def _is_rectangle(mask: Any, box: Box) -> bool:
    """Whether a polygon is the axis-aligned rectangle of the box."""
    if not isinstance(mask, list):
        return False
    numbers = list(_flatten_numbers(mask))
    left, top, width, height = box
    return all(
        min(abs(x - left), abs(x - left - width)) <= CORNER_TOLERANCE
        and min(abs(y - top), abs(y - top - height)) <= CORNER_TOLERANCE
        for x, y in zip(numbers[::2], numbers[1::2]))


def rotation_degrees(record: Record) -> float:
    """The rotation of a record's box about its center, in degrees; 0 where none is given.

    Source: attribute 'rotation' of CVAT and Datumaro: clockwise, of the box before rotation.
    """
    attributes = record.get("attributes")
    rotation = attributes.get("rotation") if isinstance(attributes, dict) else None
    if isinstance(rotation, bool) or not isinstance(rotation, (int, float, str)):
        return 0.0
    try:
        degrees = float(rotation)
    except (ValueError, OverflowError):
        return 0.0
    return degrees % 360 if math.isfinite(degrees) else 0.0


def enclosing_box(box: Box, degrees: float) -> Box:
    """The axis-aligned box around a box that is rotated about its center.

    Args:
        box: left, top, width, height before rotation.
        degrees: the rotation; the direction makes no difference.

    Returns:
        left, top, width, height, rounded to a thousandth of a pixel.
    """
    left, top, width, height = box
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    hull_width, hull_height = width * cos + height * sin, width * sin + height * cos
    x, y = left + width / 2 - hull_width / 2, top + height / 2 - hull_height / 2
    return round(x, 3), round(y, 3), round(hull_width, 3), round(hull_height, 3)
