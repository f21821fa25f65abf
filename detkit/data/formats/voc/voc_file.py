"""Read Pascal VOC xml files as COCO records, with unchanged corner values."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detkit.data.detection.annotations import RawSplit, Record
from detkit.data.formats.read_file import UnreadableFileError
from detkit.data.formats.shape_box import pop_mask_to_bbox
from detkit.data.formats.voc.voc_shape import add_shape_fields
from detkit.data.formats.xml_text import parse_xml
from detkit.data.report.ledger import Ledger, SplitCount
from detkit.errors import DataError

FLAGS = ("difficult", "truncated")
FALSE_VALUES = frozenset({"", "0", "0.0", "unspecified", "false", "no", "none"})


def read_voc(
    xml_files: Sequence[tuple[Path, str | None]], name: str, source: Path, ledger: Ledger
) -> RawSplit:
    """Read xml files as one COCO split.

    A box [xmin, ymin, xmax, ymax] becomes [xmin, ymin, xmax - xmin, ymax - ymin]: corners are not
    converted from 1-based to 0-based pixels. An object without corners gets the box of its
    polygon. ``difficult`` and ``truncated`` stay as fields of the annotation. Categories are in
    alphabetical order.

    Args:
        xml_files: each with the file name of its image, or None for the name in the xml.
        name: of the split.
        source: the folder of the xml files.
        ledger: receives the files that are not VOC xml, which are left out with their images.

    Returns:
        The split; ``xml_filename`` in an image record is the file name in the xml.
    """
    split = RawSplit(name, source, source, box_format="xyxy")
    contents = []
    for path, image in xml_files:
        try:
            contents.append((path, image, parse_voc(path)))
        except UnreadableFileError:
            raise
        except DataError as error:
            ledger.add("broken_annotation", error.message, "left out with its image",
                       file=str(path), image=image, split=name)
            ledger.splits.setdefault(name, SplitCount()).images_left_out += 1
    names = sorted({
        class_name for _, _, tree in contents for item in tree.iterfind("object")
        if (class_name := _text(item, "name"))
    })
    category_ids = {class_name: index for index, class_name in enumerate(names, start=1)}
    split.categories = [{"id": number, "name": name} for name, number in category_ids.items()]
    for path, image, tree in contents:
        image_id = len(split.images) + 1
        split.images.append({
            "id": image_id,
            "file_name": image or _text(tree, "filename") or path.stem,
            "xml_filename": _text(tree, "filename"),
            "width": _number(tree, "size/width"),
            "height": _number(tree, "size/height"),
            "source_file": str(path),
        })
        for ordinal, item in enumerate(tree.iterfind("object"), start=1):
            record: Record = {
                "id": len(split.annotations) + 1,
                "image_id": image_id,
                "category_id": category_ids.get(_text(item, "name")),
                "bbox": _box(item),
                "iscrowd": 0,
                "object": ordinal,
                **{flag: _flag(item, flag) for flag in FLAGS},
            }
            add_shape_fields(record, item)
            split.dropped_masks += pop_mask_to_bbox(record)
            split.annotations.append(record)
    return split


def parse_voc(path: Path) -> ElementTree.Element:
    """The root element of a VOC xml file.

    Raises:
        DataError: the file cannot be read, is not xml, or not a VOC annotation.
    """
    root = parse_xml(path)
    if root.tag != "annotation":
        raise DataError(f"{path}: not a Pascal VOC annotation", got=f"<{root.tag}>",
                        expected="<annotation>")
    return root


def _text(element: ElementTree.Element, path: str) -> str:
    return " ".join((element.findtext(path) or "").split())


def _number(element: ElementTree.Element, path: str) -> float | int | None:
    """A number, int where it is an integer; None when it is missing or not a number."""
    try:
        value = float(_text(element, path))
    except ValueError:
        return None
    return int(value) if math.isfinite(value) and value.is_integer() else value


def _box(item: ElementTree.Element) -> list[Any] | None:
    corners = [_number(item, f"bndbox/{name}") for name in ("xmin", "ymin", "xmax", "ymax")]
    left, top, right, bottom = corners
    if left is None or top is None or right is None or bottom is None:
        return None
    return [left, top, right - left, bottom - top]


def _flag(item: ElementTree.Element, name: str) -> int:
    return int(_text(item, name).lower() not in FALSE_VALUES)
