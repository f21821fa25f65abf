"""Image size and EXIF orientation: the coordinate frame that boxes of an image refer to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from detkit.data.detection.annotations import Record
from detkit.data.images.image_probe import TRANSPOSED_ORIENTATIONS, ImageInfo

Box = tuple[float, float, float, float]
ReportFn = Callable[[str, str, str], None]

# Boxes with 1-based pixels may exceed the image by one pixel.
ONE_PIXEL = 1.0


@dataclass(frozen=True)
class ImageFrame:
    """Width and height in pixels of the upright image, and the orientation of its boxes.

    Args:
        width, height: size of the upright image.
        orientation: EXIF orientation to apply to the boxes; 1 for boxes in the upright image.
    """

    width: int
    height: int
    orientation: int = 1


def parse_box(value: object) -> Box | None:
    """(left, top, width, height), or None for anything but four finite numbers.

    Integers stay integers, so that a valid box is written as it was read.
    """
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        return None
    for number in value:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return None
        try:
            if not math.isfinite(number):
                return None
        except OverflowError:  # an integer beyond the range of float
            return None
    left, top, width, height = value
    return left, top, width, height


def is_empty_box(value: object) -> bool:
    """Whether a box is [] or all zeros, which some tools write for no box."""
    return value == [] or parse_box(value) == (0, 0, 0, 0)


def resolve_image_size(record: Record, info: ImageInfo, boxes: Sequence[Box], report: ReportFn,
                       box_orientation: str = "upright") -> ImageFrame | None:
    """Compare the annotated image size with that of the file, and choose the frame of the boxes.

    Args:
        record: COCO image record; ``width`` and ``height`` may be missing or invalid.
        info: of the image file, which is readable.
        boxes: the annotated boxes of the image; may be empty.
        report: receives code, message and resolution of an issue.
        box_orientation: from ``resolve_orientations``: the boxes refer to the 'upright' image, to
            it 'rotated' by 90 degrees, or 'unknown'.

    Returns:
        The frame, or None when the image cannot be used as its boxes may refer to another size.
    """
    width, height = info.upright_wh
    resolution = f"left out with its {len(boxes)} boxes"
    exif = f"EXIF orientation {info.orientation} applied"
    annotated_width, annotated_height = record.get("width"), record.get("height")
    annotated_wh: tuple[float, float] = (width, height)
    if not (isinstance(annotated_width, (int, float)) and isinstance(annotated_height, (int, float))
            and annotated_width > 0 and annotated_height > 0):
        report("size_missing", f"the annotations have no valid size; the file has {width}x{height}",
               "filled in")
        if box_orientation == "upright":
            return ImageFrame(width, height)
    else:
        annotated_wh = (annotated_width, annotated_height)
    sizes = (f"the annotations state {annotated_wh[0]}x{annotated_wh[1]}, the file has "
             f"{width}x{height}")
    if info.orientation in TRANSPOSED_ORIENTATIONS and annotated_wh in (
        info.stored_wh,
        info.upright_wh,
    ):
        if box_orientation == "unknown":
            report(
                "exif_unclear", f"{sizes} with {exif}; its boxes fit with and without it, and "
                "other images contradict each other", resolution)
            return None
        if box_orientation == "rotated":
            report("exif_turned", f"{sizes} with {exif}", "boxes rotated with the image")
            return ImageFrame(width, height, info.orientation)
        if annotated_wh != info.upright_wh:
            report("size_corrected", f"{sizes} with {exif}, which the boxes fit",
                   "size corrected")
            return ImageFrame(width, height)
    if annotated_wh == (width, height):
        if info.orientation in (2, 3, 4) or (info.orientation in TRANSPOSED_ORIENTATIONS
                                             and width == height):
            report(
                "exif_unsure", f"EXIF orientation {info.orientation} does not change the size: "
                "the boxes are assumed to refer to the upright image", "kept")
        return ImageFrame(width, height)
    if _boxes_fit(boxes, width, height) and not _boxes_fit(boxes, *annotated_wh):
        report("size_corrected", f"{sizes}; boxes exceed the first and fit the second",
               "size corrected")
        return ImageFrame(width, height)
    if annotated_wh == (height, width) and box_orientation == "upright":
        report("size_corrected",
               f"{sizes}; boxes of other images exceed the first and fit the second",
               "size corrected")
        return ImageFrame(width, height)
    report("size_differs", f"{sizes}: the boxes may belong to another image", resolution)
    return None


def _boxes_fit(boxes: Sequence[Box], width: float, height: float) -> bool:
    # Subtracted, not added to the size, which may be an integer beyond the range of float.
    return all(left + box_width - ONE_PIXEL <= width and top + box_height - ONE_PIXEL <= height
               for left, top, box_width, box_height in boxes)


def orient_box(box: Box, orientation: int, stored_wh: tuple[int, int]) -> Box:
    """Transform a box from the stored image to the upright image.

    Args:
        box: left, top, width, height in pixels of the stored image.
        orientation: EXIF orientation, 1 to 8 (EXIF 2.3, tag 0x0112).
        stored_wh: size of the stored image in pixels.

    Returns:
        left, top, width, height in pixels of the upright image.
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
