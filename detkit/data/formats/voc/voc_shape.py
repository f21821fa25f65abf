"""Shapes of VOC objects besides corners: polygons, rotated boxes, and attributes of CVAT."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from typing import Any

from detkit.data.detection.annotations import Record


def add_shape_fields(record: Record, item: ElementTree.Element) -> None:
    """Add the shape of an object to its record, in COCO's format.

    ``polygon`` (Roboflow's x1, y1, ... or LabelMe's pt) becomes ``segmentation``; the rotation in
    CVAT's attributes, or of roLabelImg's ``robndbox`` with its box, becomes ``attributes``.

    Args:
        record: the annotation of the object; changed in place.
        item: the ``object`` element.
    """
    polygon = item.find("polygon")
    if polygon is not None:
        record["segmentation"] = [_points(polygon)]
    for attribute in item.iterfind("attributes/attribute"):
        if (attribute.findtext("name") or "").strip() == "rotation":
            record["attributes"] = {"rotation": attribute.findtext("value") or ""}
    rotated = item.find("robndbox")
    if rotated is not None and record.get("bbox") is None:
        x, y, width, height, angle = (
            _float(rotated.findtext(name)) for name in ("cx", "cy", "w", "h", "angle"))
        record["bbox"] = [x - width / 2, y - height / 2, width, height]
        record["attributes"] = {"rotation": math.degrees(angle)}


def _points(polygon: ElementTree.Element) -> list[Any]:
    """x and y of each point, in one list; a coordinate that is missing is NaN."""
    points = [(point.findtext("x"), point.findtext("y")) for point in polygon.iterfind("pt")]
    if not points:
        by_tag = {child.tag: child.text for child in polygon}
        points = [(text, by_tag.get(f"y{tag[1:]}")) for tag, text in by_tag.items()
                  if tag.startswith("x")]
    return [_float(value) for point in points for value in point]


def _float(text: str | None) -> float:
    """The number; NaN for anything else, which gives no box."""
    try:
        value = float(text or "")
    except ValueError:
        return math.nan
    return int(value) if math.isfinite(value) and value.is_integer() else value
