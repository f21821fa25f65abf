"""A split with what its image files tell: which file each image is, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detkit.data.detection.annotations import OWN_NAME, RawSplit, Record, source_of
from detkit.data.detection.categories import is_id
from detkit.data.images.image_folder import ImageFolder
from detkit.data.images.image_probe import ImageFacts, survey
from detkit.data.report.ledger import REFUSED, Ledger, SplitCount

# Pixels on a side; a number beyond is none that an image has, nor always one that fits a float.
MOST = 2**31


@dataclass
class SurveyedSplit:
    """The images of a split that can be told apart, with their files and annotations.

    Args:
        raw: the split as its files give it.
        images: (N,) COCO image records.
        files: (N,) path of each below the split's folder; None for what is not there.
        facts: (N,) what each file's header tells; None for what is not there.
        by_image: annotations by place in ``images``; an image without any is missing.
    """

    raw: RawSplit
    images: list[Record]
    files: list[str | None]
    facts: list[ImageFacts | None]
    by_image: dict[int, list[Record]]

    def stated_wh(self, at: int) -> tuple[float, float] | None:
        """Width and height that the annotations state; None when they state none above 0."""
        return _stated_wh(self.images[at])

    def drawn_wh(self, at: int) -> tuple[float, float]:
        """Width and height in pixels of the image that boxes were drawn in: as stored where the
        annotations state so, else as shown; what they state where there is no file."""
        facts, stated = self.facts[at], self.stated_wh(at)
        if facts is None or facts.fault is not None:
            return stated or (0, 0)
        return facts.stored_wh if stated == facts.stored_wh else facts.seen_wh


def _stated_wh(record: Record) -> tuple[float, float] | None:
    width, height = record.get("width"), record.get("height")
    if (isinstance(width, (int, float)) and isinstance(height, (int, float))
            and 0 < width < MOST and 0 < height < MOST):
        return width, height
    return None


def survey_split(raw: RawSplit, folder: ImageFolder, ledger: Ledger) -> SurveyedSplit:
    """Find the image file of each record, read the headers, and give annotations to images.

    Args:
        ledger: takes records that cannot be told apart, and annotations of no image.
    """
    images, owner = _distinct_images(raw, ledger)
    by_image = _annotations_by_image(raw, images, owner, ledger)
    files = [folder.find(record["file_name"]) for record in images]
    found = iter(survey([folder.folder / name for name in files if name is not None],
                        f"{raw.name} images"))
    facts = [next(found) if name is not None else None for name in files]
    return SurveyedSplit(raw, images, files, facts, by_image)


def _distinct_images(raw: RawSplit, ledger: Ledger) -> tuple[list[Record], dict[Any, int | None]]:
    """The image records that can be told apart, and which of them each image id means; None for
    the ids whose annotations are left out."""
    images: list[Record] = []
    owner: dict[Any, int | None] = {}
    by_name: dict[str, int] = {}
    name_of: dict[Any, str] = {}
    for record in raw.images:
        key, name = record.get("id"), record.get("file_name")
        place = {"file": source_of(record, raw), "split": raw.name}
        if not is_id(key) or not isinstance(name, str) or not name:
            ledger.add("image_record", f"the image record {_short(record)} has no usable id and "
                       "file_name", "left out", **place)
            ledger.splits.setdefault(raw.name, SplitCount()).images_left_out += 1
            continue
        place["image"] = name
        if name_of.setdefault(key, name) != name:
            ledger.add("duplicate_image_id", f"image id {key} stands for "
                       f"'{name_of[key]}' and for '{name}'", REFUSED, **place)
        elif name in by_name:
            first = images[by_name[name]]
            if _sizes_differ(first, record):
                # One scale or the other: boxes of the one would be misplaced in the other.
                ledger.add("duplicate_image_sizes", f"{_short_image(record)} is the same file as "
                           f"{_short_image(first)}, of another size", "left out" + (
                               "" if key in owner else " with its boxes"), **place)
                owner.setdefault(key, None)
            else:
                ledger.add("duplicate_image", f"'{name}' is listed twice, with ids "
                           f"{first['id']} and {key}", "merged", **place)
                owner.setdefault(key, by_name[name])
        else:
            owner[key] = by_name[name] = len(images)
            images.append(record)
            if key == 0:
                ledger.add("image_id_zero", "its id is 0", "renumbered", **place)
    return images, owner


def _annotations_by_image(
    raw: RawSplit, images: Sequence[Record], owner: Mapping[Any, int | None], ledger: Ledger
) -> dict[int, list[Record]]:
    by_image: dict[int, list[Record]] = {}
    ids: set[Any] = set()
    for record in raw.annotations:
        key, image_key = record.get("id"), record.get("image_id")
        place = {"file": str(raw.source), "split": raw.name, "annotation": key}
        at = owner.get(image_key) if is_id(image_key) else None
        if at is None and is_id(image_key) and image_key in owner:
            continue
        if at is None:
            ledger.add("unknown_image", f"image_id {image_key!r} is not among the images",
                       "left out", **place)
            continue
        place["image"] = images[at]["file_name"]
        by_image.setdefault(at, []).append(record)
        if not is_id(key):
            ledger.add("annotation_without_id", f"its id is {key!r}", "numbered", **place)
        elif key in ids:
            ledger.add("duplicate_annotation_id", f"the annotation id {key} is used more than once",
                       "renumbered", **place)
        elif key == 0:
            ledger.add("annotation_id_zero", "pycocotools counts detections that match annotation "
                       "0 as unmatched", "renumbered", **place)
        ids.add(key if is_id(key) else None)
    return by_image


def _sizes_differ(first: Record, second: Record) -> bool:
    sizes = _stated_wh(first), _stated_wh(second)
    return None not in sizes and sizes[0] != sizes[1]


def _short_image(record: Record) -> str:
    return (f"'{record.get(OWN_NAME, record['file_name'])}' of {record['width']}x"
            f"{record['height']} (id {record['id']})")


def _short(record: object) -> str:
    text = repr(record)
    return text if len(text) <= 80 else text[:77] + "..."
