"""The frame of an image's boxes: its size, and which way up it was when they were drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from detkit.data.detection.annotations import Record
from detkit.data.images.image_probe import TURNED, ImageFacts

Box = tuple[float, float, float, float]
Say = Callable[[str, str, str], None]

# Boxes drawn to the last pixel with the 1-based convention reach one beyond it.
ONE_PIXEL = 1.0


@dataclass(frozen=True)
class Frame:
    """Width and height in pixels as a person sees the image, and how boxes get there.

    Args:
        turn: EXIF orientation to apply to the boxes; 1 leaves them as they are.
    """

    width: int
    height: int
    turn: int = 1


def as_box(value: object) -> Box | None:
    """(left, top, width, height), or None for what is not four finite numbers.

    Whole numbers stay whole, so that a box that is right is written as it was read.
    """
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        return None
    for number in value:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return None
        try:
            if not math.isfinite(number):
                return None
        except OverflowError:  # a whole number beyond any float
            return None
    left, top, width, height = value
    return left, top, width, height


def is_empty(value: object) -> bool:
    """Whether a box is [] or all zeros: no place at all, as tools fill in where there is none."""
    return value == [] or as_box(value) == (0, 0, 0, 0)


def settle_frame(
    record: Record, facts: ImageFacts, boxes: Sequence[Box], say: Say, way: str = "shown"
) -> Frame | None:
    """Compare the size that the annotations state with the file's, and choose the frame.

    Args:
        record: COCO image record; ``width`` and ``height`` may be missing or nonsense.
        facts: of the image file, which is readable.
        boxes: the image's boxes as stated; may be empty.
        say: takes kind, finding and action of what does not fit.
        way: what ``settle_orientations`` decided: the boxes lie in the image as 'shown', in it
            'turned' by a quarter, or 'unknown'.

    Returns:
        The frame, or None when the image cannot be used: its boxes may belong to another size.
    """
    width, height = facts.seen_wh
    left_out = f"left out with its {len(boxes)} boxes"
    exif = f"its EXIF orientation {facts.orientation} applied"
    stated_width, stated_height = record.get("width"), record.get("height")
    stated: tuple[float, float] = (width, height)
    if not (isinstance(stated_width, (int, float)) and isinstance(stated_height, (int, float))
            and stated_width > 0 and stated_height > 0):
        say("size_missing", f"the annotations state no size; the file has {width}x{height}",
            "filled in")
        if way == "shown":
            return Frame(width, height)
    else:
        stated = (stated_width, stated_height)
    sizes = f"the annotations state {stated[0]}x{stated[1]}, the file has {width}x{height}"
    if facts.orientation in TURNED and stated in (facts.stored_wh, facts.seen_wh):
        if way == "unknown":
            say("exif_unclear", f"{sizes} with {exif}; its boxes fit both ways up, and other "
                "images of the set contradict each other", left_out)
            return None
        if way == "turned":
            say("exif_turned", f"{sizes} with {exif}", "boxes turned with the picture")
            return Frame(width, height, facts.orientation)
        if stated != facts.seen_wh:
            say("size_corrected", f"{sizes} with {exif}, which the set's boxes fit",
                "size corrected")
            return Frame(width, height)
    if stated == (width, height):
        if facts.orientation in (2, 3, 4) or (facts.orientation in TURNED and width == height):
            say("exif_unsure", f"EXIF orientation {facts.orientation} does not change the size: "
                "the boxes are taken to be in the upright picture", "kept")
        return Frame(width, height)
    if _fits(boxes, width, height) and not _fits(boxes, *stated):
        say("size_corrected", f"{sizes}; boxes reach beyond the first and fit the second",
            "size corrected")
        return Frame(width, height)
    if stated == (height, width) and way == "shown":
        say("size_corrected", f"{sizes}; boxes of other images reach beyond the first and fit the "
            "second", "size corrected")
        return Frame(width, height)
    say("size_differs", f"{sizes}: the boxes may belong to another picture", left_out)
    return None


def _fits(boxes: Sequence[Box], width: float, height: float) -> bool:
    # Not added to the size, which may be a whole number beyond any float.
    return all(left + across - ONE_PIXEL <= width and top + down - ONE_PIXEL <= height
               for left, top, across, down in boxes)


def turn_box(box: Box, orientation: int, stored_wh: tuple[int, int]) -> Box:
    """Move a box from the stored picture to the upright one.

    Args:
        box: left, top, width, height in pixels of the stored picture.
        orientation: EXIF orientation, 1 to 8 (EXIF 2.3, tag 0x0112).
        stored_wh: size of the stored picture in pixels.

    Returns:
        left, top, width, height in pixels of the upright picture.
    """
    left, top, width, height = box
    right_gap = stored_wh[0] - left - width
    bottom_gap = stored_wh[1] - top - height
    return {
        1: (left, top, width, height),
        2: (right_gap, top, width, height),
        3: (right_gap, bottom_gap, width, height),
        4: (left, bottom_gap, width, height),
        5: (top, left, height, width),
        6: (bottom_gap, left, height, width),
        7: (bottom_gap, right_gap, height, width),
        8: (top, right_gap, height, width),
    }[orientation]
