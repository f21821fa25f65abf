"""The data check: a split as its files give it in, a split that can be trained on out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detkit.data.boxes import clean_boxes
from detkit.data.classes import ClassTable, decide_classes, is_id
from detkit.data.coco_file import read_coco
from detkit.data.frames import as_box, settle_frame
from detkit.data.headers import ImageFacts, survey
from detkit.data.image_folder import ImageFolder
from detkit.data.ledger import REFUSED, Ledger, SplitCount
from detkit.data.raw import RawSplit, Record

OF_OTHER_CLASSES = "left out, as the config names other classes"


def check_coco(
    annotation_file: str | Path, image_dir: str | Path, classes: Sequence[str] | None = None,
    allow_other_classes: bool = False,
) -> Ledger:
    """Check one COCO file and its images; nothing is written and nothing is changed.

    Args:
        annotation_file: COCO json with boxes.
        image_dir: the folder that its file names start from.
        classes: the classes that a config expects, in order; None to take the file's.
        allow_other_classes: where the file has all of ``classes``, boxes of its other classes
            are left out, as mmdet's datasets do it, instead of refused.

    Returns:
        The findings; faults that ``open_data`` would mend say ``found``, others ``refused``, and
        those whose boxes a dataset with these classes leaves out ``left out``.

    Raises:
        DataError: the file cannot be read as COCO truth.
    """
    raw = read_coco(Path(annotation_file), "data", Path(image_dir))
    ledger = Ledger(str(annotation_file))
    table = decide_classes({raw.name: raw}, ledger, classes)
    if classes is not None:
        _check_class_order(raw, tuple(classes), ledger)
    clean_split(raw, table, ImageFolder(Path(image_dir)), ledger)
    if allow_other_classes and not ledger.count("missing_class"):
        ledger.faults = [
            dataclasses.replace(fault, action=OF_OTHER_CLASSES)
            if fault.kind == "unknown_class" else fault for fault in ledger.faults]
    ledger.faults = [
        fault if fault.action in (REFUSED, OF_OTHER_CLASSES)
        else dataclasses.replace(fault, action="found") for fault in ledger.faults
    ]
    return ledger


def _check_class_order(raw: RawSplit, classes: tuple[str, ...], ledger: Ledger) -> None:
    """mmdet numbers labels in the order of the file, whatever order a config gives."""
    in_file = [record.get("name") for record in raw.categories]
    place = {"file": str(raw.source), "split": raw.name}
    for name in classes:
        if name not in in_file:
            ledger.add("missing_class", f"the file does not declare the class '{name}'", REFUSED,
                       **place)
    order = tuple(name for name in in_file if name in classes)
    if len(order) == len(classes) and order != classes:
        first = next(at for at, pair in enumerate(zip(order, classes)) if pair[0] != pair[1])
        ledger.add("class_order", f"label {first} is '{order[first]}' in the file and "
                   f"'{classes[first]}' in the config's classes", REFUSED, **place)


def clean_split(
    raw: RawSplit, table: ClassTable, folder: ImageFolder, ledger: Ledger
) -> dict[str, Any]:
    """Check one split against its image files and keep what can be used.

    Returns:
        COCO json: image ids and annotation ids from 1, category ids 1 to K in the order of the
        classes; ``original_id`` in images and annotations is the id that they had. Its images
        keep the order of the file, and may be none.
    """
    images, owner = _distinct_images(raw, ledger)
    by_image = _annotations_by_image(raw, images, owner, ledger)
    found = [folder.find(record["file_name"]) for record in images]
    facts = iter(survey([folder.folder / name for name in found if name is not None],
                        f"{raw.name} images"))
    count = ledger.splits.setdefault(raw.name, SplitCount())
    clean: dict[str, Any] = {"images": [], "annotations": [], "categories": [
        {"id": number, "name": name} for number, name in enumerate(table.names, start=1)]}
    boxes_before = len(raw.annotations)
    for at, (record, name) in enumerate(zip(images, found)):
        fact = next(facts) if name is not None else None
        records = by_image.get(at, [])
        done = _clean_image(raw, record, name, fact, records, table, ledger)
        if done is None:
            count.images_left_out += 1
            continue
        image, boxes = done
        image["id"] = len(clean["images"]) + 1
        clean["images"].append(image)
        for box in boxes:
            clean["annotations"].append(
                {"id": len(clean["annotations"]) + 1, "image_id": image["id"], **box})
    count.images_used = len(clean["images"])
    count.boxes_used = len(clean["annotations"])
    count.boxes_left_out = boxes_before - count.boxes_used
    if raw.masks_left_out:
        ledger.notes.append(f"{raw.name}: the masks of {raw.masks_left_out} annotations are not "
                            "carried over, only their boxes")
    if count.images_left_out > count.images_used:
        ledger.add("too_many_images_left_out", f"only {count.images_used} images can be used and "
                   f"{count.images_left_out} can not; is this the right folder?", REFUSED,
                   file=str(raw.source), split=raw.name)
    return clean


def _clean_image(
    raw: RawSplit, record: Record, name: str | None, facts: ImageFacts | None,
    records: Sequence[Record], table: ClassTable, ledger: Ledger,
) -> tuple[Record, list[Record]] | None:
    stated = record["file_name"]
    place = {"file": record.get("source_file", str(raw.source)), "image": stated,
             "split": raw.name}

    def say(kind: str, what: str, action: str) -> None:
        ledger.add(kind, what, action, **place)

    def say_of(box: Record, kind: str, what: str, action: str) -> None:
        ledger.add(kind, what, action, annotation=box.get("object", box.get("id")), **place)

    left_out = f"left out with its {len(records)} boxes"
    if name is None or facts is None:
        say("missing_image", f"there is no such file below {raw.image_dir}", left_out)
        return None
    if facts.fault is not None:
        say("unreadable_image", facts.fault, left_out)
        return None
    for note in facts.notes:
        say(*note)
    boxes = [box for one in records if (box := as_box(one.get("bbox"))) is not None]
    frame = settle_frame(record, facts, boxes, say)
    if frame is None:
        return None
    image = {key: value for key, value in record.items() if isinstance(value, (int, str))}
    image.update(file_name=name, width=frame.width, height=frame.height,
                 original_id=record["id"])
    kept = clean_boxes(records, frame, facts.stored_wh, table.index_of[raw.name], say_of)
    if not kept:
        say("image_without_boxes",
            f"none of its {len(records)} boxes can be used" if records else "it has no annotation",
            "kept as an image of background")
    return image, kept


def _distinct_images(raw: RawSplit, ledger: Ledger) -> tuple[list[Record], dict[Any, int]]:
    """The image records that can be told apart, and which of them each image id means."""
    images: list[Record] = []
    owner: dict[Any, int] = {}
    by_name: dict[str, int] = {}
    for record in raw.images:
        key, name = record.get("id"), record.get("file_name")
        place = {"file": str(record.get("source_file", raw.source)), "split": raw.name}
        if not is_id(key) or not isinstance(name, str) or not name:
            ledger.add("image_record", f"the image record {_short(record)} has no usable id and "
                       "file_name", "left out", **place)
            ledger.splits.setdefault(raw.name, SplitCount()).images_left_out += 1
            continue
        place["image"] = name
        if key in owner and images[owner[key]]["file_name"] != name:
            ledger.add("duplicate_image_id", f"image id {key} stands for "
                       f"'{images[owner[key]]['file_name']}' and for '{name}'", REFUSED, **place)
        elif name in by_name:
            ledger.add("duplicate_image", f"'{name}' is listed twice, with ids "
                       f"{images[by_name[name]]['id']} and {key}", "merged", **place)
            owner.setdefault(key, by_name[name])
        else:
            owner[key] = by_name[name] = len(images)
            images.append(record)
            if key == 0:
                ledger.add("image_id_zero", "its id is 0", "renumbered", **place)
    return images, owner


def _annotations_by_image(
    raw: RawSplit, images: Sequence[Record], owner: dict[Any, int], ledger: Ledger
) -> dict[int, list[Record]]:
    by_image: dict[int, list[Record]] = {}
    ids: set[Any] = set()
    for record in raw.annotations:
        key, image_key = record.get("id"), record.get("image_id")
        place = {"file": str(raw.source), "split": raw.name, "annotation": key}
        at = owner.get(image_key) if is_id(image_key) else None
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


def _short(record: object) -> str:
    text = repr(record)
    return text if len(text) <= 80 else text[:77] + "..."
