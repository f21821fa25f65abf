"""Reads and validates COCO annotation files for pycocotools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detkit.errors import DataError
from detkit.evaluation.detection.json_values import (
    Id,
    format_ids,
    parse_box,
    parse_id,
    parse_number,
    read_json,
)

REQUIRED_LISTS = ("images", "annotations", "categories")
# Annotation key, written by the data check, of an object that VOC's evaluation ignores.
DIFFICULT = "voc_difficult"


@dataclass(frozen=True)
class CocoGroundTruth:
    """The boxes of a COCO annotation file.

    Args:
        name: name in messages: the file's path, or 'ground truth'.
        images: index of each image id, in ascending order of the ids; M images.
        categories: index of each category id, in ascending order of the ids; K categories.
        class_names: (K,) unique name of each category, by index.
        file_order: (K,) the same names in the order of the file.
        files: file name of each image id, where known.
        annotations: the boxes, in the order of the file, with the keys that pycocotools reads:
            ``id`` from 1, ``image_id`` and ``category_id`` as indices, ``bbox`` xywh in pixels,
            ``area`` in square pixels, ``iscrowd`` 0 or 1; and ``difficult``, 1 for an object
            ignored as a difficult object of Pascal VOC. May be empty.
        notes: sentences on missing or corrected values.
        sizes: width and height in pixels of each image, by index, where known.
    """

    name: str
    images: Mapping[Id, int]
    categories: Mapping[Id, int]
    class_names: tuple[str, ...]
    file_order: tuple[str, ...]
    files: Mapping[Id, str]
    annotations: list[dict[str, Any]]
    notes: tuple[str, ...]
    sizes: Mapping[int, tuple[float, float]] = field(default_factory=dict)


def read_ground_truth(ground_truth: str | Path | Mapping[str, Any]) -> CocoGroundTruth:
    """Read and validate a COCO annotation file; the input is not modified.

    Args:
        ground_truth: a path, or the content of such a file.

    Returns:
        The ground truth with annotation ids renumbered from 1, because pycocotools does not count
        a match with annotation id 0. A missing ``area`` becomes width times height, a missing
        ``iscrowd`` 0; ``notes`` mentions both.

    Raises:
        DataError: the file is not a COCO annotation file, an id is duplicate, of mixed types or
            unknown, or a box is not four finite numbers with width and height >= 0.
    """
    name = "ground truth"
    content: Any = ground_truth
    if isinstance(ground_truth, (str, Path)):
        name = str(ground_truth)
        content = read_json(Path(ground_truth))
    if isinstance(content, list):
        raise DataError(
            f"{name}: not a COCO annotation file", got="an array",
            expected="an object with images, annotations and categories",
            hint="an array is a results file: give the annotation file first, the results second",
        )
    if not isinstance(content, Mapping):
        raise DataError(f"{name}: not a COCO annotation file", got=type(content).__name__,
                        expected="an object with images, annotations and categories")
    for key in REQUIRED_LISTS:
        if not isinstance(content.get(key), list):
            raise DataError(
                f"{name}: '{key}' is {'not a list' if key in content else 'missing'}",
                got=f"an object with {', '.join(map(str, content)) or 'no keys'}",
                expected="images, annotations and categories",
            )
    images = _index_ids(name, "images", content["images"])
    if not images:
        raise DataError(f"{name}: no images in the file")
    categories = _index_ids(name, "categories", content["categories"])
    if not categories:
        raise DataError(f"{name}: no categories in the file")
    annotations, notes = _read_annotations(name, content["annotations"], images, categories)
    class_names = _class_names(content["categories"], categories)
    return CocoGroundTruth(
        name=name,
        images=images,
        categories=categories,
        class_names=class_names,
        file_order=tuple(class_names[categories[_get_id(item)]] for item in content["categories"]),
        files={_get_id(item): str(item["file_name"]) for item in content["images"]
               if "file_name" in item},
        annotations=annotations,
        notes=notes,
        sizes=_image_sizes(content["images"], images),
    )


def _image_sizes(items: list[Any], images: Mapping[Id, int]) -> dict[int, tuple[float, float]]:
    sizes = {}
    for item in items:
        width, height = parse_number(item.get("width")), parse_number(item.get("height"))
        if width is not None and height is not None and width > 0 and height > 0:
            sizes[images[_get_id(item)]] = (width, height)
    return sizes


def _get_id(item: Mapping[str, Any]) -> Id:
    item_id = parse_id(item["id"])
    assert item_id is not None
    return item_id


def _index_ids(name: str, key: str, items: list[Any]) -> dict[Id, int]:
    """Index of each id in ascending order, in which pycocotools breaks ties."""
    ids: list[Id] = []
    for index, item in enumerate(items):
        item_id = parse_id(item.get("id")) if isinstance(item, Mapping) else None
        if item_id is None:
            got = item.get("id", "none") if isinstance(item, Mapping) else item
            raise DataError(f"{name}: {key}[{index}]: invalid id", got=repr(got),
                            expected="an integer or a string")
        ids.append(item_id)
    if len({type(item) for item in ids}) > 1:
        other = next(item for item in ids if type(item) is not type(ids[0]))
        raise DataError(f"{name}: the ids of {key} have mixed types",
                        got=f"{ids[0]!r} and {other!r}",
                        expected="all integers or all strings")
    duplicates = [item for item, count in Counter(ids).items() if count > 1]
    if duplicates:
        raise DataError(f"{name}: duplicate ids in {key}: {format_ids(duplicates)}")
    return {item: index for index, item in enumerate(sorted(ids))}


def _class_names(items: list[Any], categories: Mapping[Id, int]) -> tuple[str, ...]:
    names = {categories[_get_id(item)]: str(item.get("name", _get_id(item))) for item in items}
    count = Counter(names.values())
    ids = {index: item_id for item_id, index in categories.items()}
    return tuple(
        names[index] if count[names[index]] == 1 else f"{names[index]} (id {ids[index]})"
        for index in sorted(names)
    )


def _read_annotations(
    name: str, items: list[Any], images: Mapping[Id, int], categories: Mapping[Id, int]
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    annotations: list[dict[str, Any]] = []
    without_area = without_crowd = 0
    ids: list[object] = []
    for index, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise DataError(f"{name}: annotations[{index}] is not an object", got=repr(item))
        location = f"{name}: annotation {item.get('id', f'at index {index}')!r}"
        image, category = parse_id(item.get("image_id")), parse_id(item.get("category_id"))
        if image is None or image not in images:
            raise DataError(f"{location} has an image_id that is not in 'images'",
                            got=repr(item.get("image_id")), expected=format_ids(images))
        location += f" (image {image!r})"
        if category is None or category not in categories:
            raise DataError(f"{location} has a category_id that is not in 'categories'",
                            got=repr(item.get("category_id")), expected=format_ids(categories))
        box = parse_box(item.get("bbox"))
        if box is None or min(box[2:]) < 0:
            raise DataError(f"{location}: invalid bbox", got=repr(item.get("bbox")),
                            expected="[x, y, width, height], finite, width and height >= 0")
        area = parse_number(item.get("area"))
        if area is None:
            area = box[2] * box[3]
            without_area += 1
        elif area < 0:
            raise DataError(f"{location} has a negative area", got=area)
        crowd = item.get("iscrowd")
        if crowd is None:
            crowd = 0
            without_crowd += 1
        elif crowd not in (0, 1):
            raise DataError(f"{location}: invalid iscrowd", got=repr(crowd),
                            expected="0 or 1")
        ids.append(item.get("id"))
        annotations.append({
            "id": index + 1, "image_id": images[image], "bbox": box, "area": area,
            "category_id": categories[category], "iscrowd": int(crowd),
            "difficult": int(crowd == 1 and item.get(DIFFICULT) == 1)
        })
    difficult = sum(item["difficult"] for item in annotations)
    return annotations, _collect_notes(ids, without_area, without_crowd, difficult)


def _collect_notes(
    ids: list[object], without_area: int, without_crowd: int, difficult: int
) -> tuple[str, ...]:
    notes = []
    if difficult:
        notes.append(f"{difficult} annotations are difficult objects of Pascal VOC and ignored: "
                     "neither false negatives nor matches")
    if 0 in ids:
        notes.append("an annotation has id 0, whose matches pycocotools counts as missed; it was "
                     "renumbered, so these numbers can be higher than pycocotools'")
    num_duplicates = len(ids) - len(set(map(repr, ids)))
    if num_duplicates:
        notes.append(f"{num_duplicates} annotations have no id or a duplicate id; they were "
                     "renumbered, each counts once")
    if without_area:
        notes.append(f"{without_area} annotations have no area; width times height is used")
    if without_crowd:
        notes.append(f"{without_crowd} annotations have no iscrowd; 0 is used")
    return tuple(notes)
