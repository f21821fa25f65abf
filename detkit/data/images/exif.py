"""The frame of an image's boxes: its size, and which way up it was when they were drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from detkit.data.detection.annotations import Record
from detkit.data.images.image_probe import TRANSPOSED_ORIENTATIONS, ImageInfo

Box = tuple[float, float, float, float]
ReportFn = Callable[[str, str, str], None]

# Boxes drawn to the last pixel with the 1-based convention reach one beyond it.
ONE_PIXEL = 1.0


@dataclass(frozen=True)
class ImageFrame:
    """Width and height in pixels as a person sees the image, and how boxes get there.

    Args:
        orientation: EXIF orientation to apply to the boxes; 1 leaves them as they are.
    """

    width: int
    height: int
    orientation: int = 1


def parse_box(value: object) -> Box | None:
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


def is_empty_box(value: object) -> bool:
    """Whether a box is [] or all zeros: no place at all, as tools fill in where there is none."""
    return value == [] or parse_box(value) == (0, 0, 0, 0)


def resolve_image_size(record: Record, info: ImageInfo, boxes: Sequence[Box], report: ReportFn,
                       box_orientation: str = "shown") -> ImageFrame | None:
    """Compare the size that the annotations state with the file's, and choose the frame.

    Args:
        record: COCO image record; ``width`` and ``height`` may be missing or nonsense.
        info: of the image file, which is readable.
        boxes: the image's boxes as stated; may be empty.
        report: takes kind, finding and action of what does not fit.
        box_orientation: what ``resolve_orientations`` decided: the boxes lie in the image as
            'shown', in it 'turned' by a quarter, or 'unknown'.

    Returns:
        The frame, or None when the image cannot be used: its boxes may belong to another size.
    """
    width, height = info.upright_wh
    resolution = f"left out with its {len(boxes)} boxes"
    exif = f"its EXIF orientation {info.orientation} applied"
    stated_width, stated_height = record.get("width"), record.get("height")
    stated: tuple[float, float] = (width, height)
    if not (isinstance(stated_width, (int, float)) and isinstance(stated_height, (int, float))
            and stated_width > 0 and stated_height > 0):
        report("size_missing", f"the annotations state no size; the file has {width}x{height}",
               "filled in")
        if box_orientation == "shown":
            return ImageFrame(width, height)
    else:
        stated = (stated_width, stated_height)
    sizes = f"the annotations state {stated[0]}x{stated[1]}, the file has {width}x{height}"
    if info.orientation in TRANSPOSED_ORIENTATIONS and stated in (info.stored_wh, info.upright_wh):
        if box_orientation == "unknown":
            report(
                "exif_unclear", f"{sizes} with {exif}; its boxes fit both ways up, and other "
                "images of the set contradict each other", resolution)
            return None
        if box_orientation == "turned":
            report("exif_turned", f"{sizes} with {exif}", "boxes turned with the picture")
            return ImageFrame(width, height, info.orientation)
        if stated != info.upright_wh:
            report("size_corrected", f"{sizes} with {exif}, which the set's boxes fit",
                   "size corrected")
            return ImageFrame(width, height)
    if stated == (width, height):
        if info.orientation in (2, 3, 4) or (info.orientation in TRANSPOSED_ORIENTATIONS
                                             and width == height):
            report(
                "exif_unsure", f"EXIF orientation {info.orientation} does not change the size: "
                "the boxes are taken to be in the upright picture", "kept")
        return ImageFrame(width, height)
    if _boxes_fit(boxes, width, height) and not _boxes_fit(boxes, *stated):
        report("size_corrected", f"{sizes}; boxes reach beyond the first and fit the second",
               "size corrected")
        return ImageFrame(width, height)
    if stated == (height, width) and box_orientation == "shown":
        report("size_corrected",
               f"{sizes}; boxes of other images reach beyond the first and fit the "
               "second", "size corrected")
        return ImageFrame(width, height)
    report("size_differs", f"{sizes}: the boxes may belong to another picture", resolution)
    return None


def _boxes_fit(boxes: Sequence[Box], width: float, height: float) -> bool:
    # Not added to the size, which may be a whole number beyond any float.
    return all(left + box_width - ONE_PIXEL <= width and top + box_height - ONE_PIXEL <= height
               for left, top, box_width, box_height in boxes)


def orient_box(box: Box, orientation: int, stored_wh: tuple[int, int]) -> Box:
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
