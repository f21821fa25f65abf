"""A split with the probed image files: the file of each image, its size and orientation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detkit.data.detection.annotations import ORIGINAL_NAME_KEY, RawSplit, Record, record_source
from detkit.data.detection.categories import is_valid_id
from detkit.data.images.image_folder import ImageFolder
from detkit.data.images.image_probe import ImageInfo, probe_images
from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger, SplitCount
from detkit.text import shorten

# Largest image side in pixels; larger numbers are invalid and may not fit a float.
MAX_SIDE = 2**31


@dataclass
class ProbedSplit:
    """The distinct images of a split, with their files and annotations.

    Args:
        raw: the split as read from its files.
        images: (N,) COCO image records.
        files: (N,) path of each image relative to the split's folder; None where it is missing.
        infos: (N,) size and orientation of each file; None where it is missing.
        by_image: annotations by index into ``images``; images without annotations are missing.
    """

    raw: RawSplit
    images: list[Record]
    files: list[str | None]
    infos: list[ImageInfo | None]
    by_image: dict[int, list[Record]]

    def annotated_wh(self, index: int) -> tuple[float, float] | None:
        """Width and height in the annotations; None unless both are valid and above 0."""
        return _annotated_wh(self.images[index])

    def annotation_frame_wh(self, index: int) -> tuple[float, float]:
        """Width and height in pixels of the image that the boxes refer to: the stored size where
        the annotations state it, else the upright size; the annotated size without a file."""
        info, annotated = self.infos[index], self.annotated_wh(index)
        if info is None or info.error is not None:
            return annotated or (0, 0)
        return info.stored_wh if annotated == info.stored_wh else info.upright_wh


def _annotated_wh(record: Record) -> tuple[float, float] | None:
    width, height = record.get("width"), record.get("height")
    if (isinstance(width, (int, float)) and isinstance(height, (int, float))
            and 0 < width < MAX_SIDE and 0 < height < MAX_SIDE):
        return width, height
    return None


def probe_split(raw: RawSplit, folder: ImageFolder, ledger: Ledger) -> ProbedSplit:
    """Find and probe the image file of each record, and group annotations by image.

    Args:
        raw: the split as read from its files.
        folder: its image folder.
        ledger: receives ambiguous image records, and annotations of unknown images.
    """
    images, index_by_id = _unique_images(raw, ledger)
    by_image = _annotations_by_image(raw, images, index_by_id, ledger)
    files = [folder.find(record["file_name"]) for record in images]
    probed = iter(
        probe_images([folder.folder / name for name in files if name is not None],
                     f"{raw.name} images"))
    infos = [next(probed) if name is not None else None for name in files]
    return ProbedSplit(raw, images, files, infos, by_image)


def _unique_images(raw: RawSplit, ledger: Ledger) -> tuple[list[Record], dict[Any, int | None]]:
    """The distinct image records, and the index of each image id; None for ids whose annotations
    are left out."""
    images: list[Record] = []
    index_by_id: dict[Any, int | None] = {}
    index_by_name: dict[str, int] = {}
    name_of: dict[Any, str] = {}
    for record in raw.images:
        key, name = record.get("id"), record.get("file_name")
        location = {"file": record_source(record, raw), "split": raw.name}
        if not is_valid_id(key) or not isinstance(name, str) or not name:
            ledger.add(
                "image_record", f"the image record {shorten(repr(record), 80)} has no valid id and "
                "file_name", "left out", **location)
            ledger.splits.setdefault(raw.name, SplitCount()).images_left_out += 1
            continue
        location["image"] = name
        if name_of.setdefault(key, name) != name:
            ledger.add("duplicate_image_id", f"image id {key} is used for '{name_of[key]}' and for "
                       f"'{name}'", ERROR, **location)
        elif name in index_by_name:
            first = images[index_by_name[name]]
            if _sizes_differ(first, record):
                # Boxes annotated at one scale would be misplaced at the other.
                ledger.add("duplicate_image_sizes", f"{_format_image(record)} is the same file as "
                           f"{_format_image(first)}, with a different size", "left out" + (
                               "" if key in index_by_id else " with its boxes"), **location)
                index_by_id.setdefault(key, None)
            else:
                ledger.add("duplicate_image", f"'{name}' is listed twice, with ids "
                           f"{first['id']} and {key}", "merged", **location)
                index_by_id.setdefault(key, index_by_name[name])
        else:
            index_by_id[key] = index_by_name[name] = len(images)
            images.append(record)
            if key == 0:
                ledger.add("image_id_zero", "its id is 0", "renumbered", **location)
    return images, index_by_id


def _annotations_by_image(
    raw: RawSplit, images: Sequence[Record], index_by_id: Mapping[Any, int | None], ledger: Ledger
) -> dict[int, list[Record]]:
    by_image: dict[int, list[Record]] = {}
    ids: set[Any] = set()
    for record in raw.annotations:
        key, image_key = record.get("id"), record.get("image_id")
        location = {"file": str(raw.source), "split": raw.name, "annotation": key}
        index = index_by_id.get(image_key) if is_valid_id(image_key) else None
        if index is None and is_valid_id(image_key) and image_key in index_by_id:
            continue
        if index is None:
            ledger.add("unknown_image", f"image_id {image_key!r} is not among the images",
                       "left out", **location)
            continue
        location["image"] = images[index]["file_name"]
        by_image.setdefault(index, []).append(record)
        if not is_valid_id(key):
            ledger.add("annotation_without_id", f"its id is {key!r}", "numbered", **location)
        elif key in ids:
            ledger.add("duplicate_annotation_id", f"the annotation id {key} is used more than once",
                       "renumbered", **location)
        elif key == 0:
            ledger.add("annotation_id_zero", "pycocotools counts detections that match annotation "
                       "0 as unmatched", "renumbered", **location)
        ids.add(key if is_valid_id(key) else None)
    return by_image


def _sizes_differ(first: Record, second: Record) -> bool:
    sizes = _annotated_wh(first), _annotated_wh(second)
    return None not in sizes and sizes[0] != sizes[1]


def _format_image(record: Record) -> str:
    return (f"'{record.get(ORIGINAL_NAME_KEY, record['file_name'])}' of {record['width']}x"
            f"{record['height']} (id {record['id']})")
