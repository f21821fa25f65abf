"""A split with what its image files tell: which file each image is, and what it holds."""

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

# Pixels on a side; a number beyond is none that an image has, nor always one that fits a float.
MAX_SIDE = 2**31


@dataclass
class ProbedSplit:
    """The images of a split that can be told apart, with their files and annotations.

    Args:
        raw: the split as its files give it.
        images: (N,) COCO image records.
        files: (N,) path of each below the split's folder; None for what is not there.
        infos: (N,) what each file's header tells; None for what is not there.
        by_image: annotations by place in ``images``; an image without any is missing.
    """

    raw: RawSplit
    images: list[Record]
    files: list[str | None]
    infos: list[ImageInfo | None]
    by_image: dict[int, list[Record]]

    def annotated_wh(self, index: int) -> tuple[float, float] | None:
        """Width and height that the annotations state; None when they state none above 0."""
        return _annotated_wh(self.images[index])

    def annotation_frame_wh(self, index: int) -> tuple[float, float]:
        """Width and height in pixels of the image that boxes were drawn in: as stored where the
        annotations state so, else as shown; what they state where there is no file."""
        infos, stated = self.infos[index], self.annotated_wh(index)
        if infos is None or infos.error is not None:
            return stated or (0, 0)
        return infos.stored_wh if stated == infos.stored_wh else infos.upright_wh


def _annotated_wh(record: Record) -> tuple[float, float] | None:
    width, height = record.get("width"), record.get("height")
    if (isinstance(width, (int, float)) and isinstance(height, (int, float))
            and 0 < width < MAX_SIDE and 0 < height < MAX_SIDE):
        return width, height
    return None


def probe_split(raw: RawSplit, folder: ImageFolder, ledger: Ledger) -> ProbedSplit:
    """Find the image file of each record, read the headers, and give annotations to images.

    Args:
        ledger: takes records that cannot be told apart, and annotations of no image.
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
    """The image records that can be told apart, and which of them each image id means; None for
    the ids whose annotations are left out."""
    images: list[Record] = []
    index_by_id: dict[Any, int | None] = {}
    index_by_name: dict[str, int] = {}
    name_of: dict[Any, str] = {}
    for record in raw.images:
        key, name = record.get("id"), record.get("file_name")
        location = {"file": record_source(record, raw), "split": raw.name}
        if not is_valid_id(key) or not isinstance(name, str) or not name:
            ledger.add(
                "image_record", f"the image record {_format_record(record)} has no usable id and "
                "file_name", "left out", **location)
            ledger.splits.setdefault(raw.name, SplitCount()).images_left_out += 1
            continue
        location["image"] = name
        if name_of.setdefault(key, name) != name:
            ledger.add("duplicate_image_id", f"image id {key} stands for "
                       f"'{name_of[key]}' and for '{name}'", ERROR, **location)
        elif name in index_by_name:
            first = images[index_by_name[name]]
            if _sizes_differ(first, record):
                # One scale or the other: boxes of the one would be misplaced in the other.
                ledger.add("duplicate_image_sizes", f"{_format_image(record)} is the same file as "
                           f"{_format_image(first)}, of another size", "left out" + (
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


def _format_record(record: object) -> str:
    text = repr(record)
    return text if len(text) <= 80 else text[:77] + "..."
