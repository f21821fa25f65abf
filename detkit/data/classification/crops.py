"""Crops of a detection data set: its boxes as labeled images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from detkit.data.classification.image_label import ImageLabel
from detkit.data.detection.load_detection_data import DataSplit, DetectionData
from detkit.data.detection.usable_objects import DIFFICULT
from detkit.data.report.ledger import Ledger, SplitCount

MIN_SIDE = 4.0


def read_crops(data: DetectionData, ledger: Ledger) -> dict[str, list[ImageLabel]]:
    """The boxes of a checked detection data set for a classifier, by split.

    Boxes of crowds, and boxes with a side below four pixels, are left out and reported. A split
    that is used in place of another is the same list.
    """
    labels_by_split: dict[str, list[ImageLabel]] = {}
    first_split_of: dict[tuple[bytes, Path], str] = {}
    for name, split in data.splits.items():
        content = split.annotation_file.read_bytes()
        first_split = first_split_of.setdefault((hashlib.sha256(content).digest(), split.image_dir),
                                                name)
        if first_split != name:
            labels_by_split[name] = labels_by_split[first_split]
            ledger.splits[name] = ledger.splits[first_split]
            continue
        labels_by_split[name] = _read_split_crops(name, split, data.classes, ledger)
    return labels_by_split


def _read_split_crops(
    name: str, split: DataSplit, classes: Sequence[str], ledger: Ledger
) -> list[ImageLabel]:
    content = json.loads(split.annotation_file.read_bytes())
    file_names = {image["id"]: image["file_name"] for image in content["images"]}
    records = []
    for box in content["annotations"]:
        x, y, width, height = map(float, box["bbox"])
        image = file_names[box["image_id"]]
        location = {
            "file": str(split.image_dir), "image": image, "split": name,
            "annotation": box.get("original_id", box["id"])
        }
        # Difficult objects are ignored in AP only; for classification they are used.
        difficult = DIFFICULT in box
        if difficult and name == "train":
            ledger.add("difficult_box", "it is difficult, and data_options.train_difficult is "
                       "False", "left out", **location)
        elif box.get("iscrowd") and not difficult:
            ledger.add("crowd_box", "its box is around a crowd, not one object", "left out",
                       **location)
        elif width < MIN_SIDE or height < MIN_SIDE:
            ledger.add("small_box", f"its box is {width:g} x {height:g} pixels; a crop needs at "
                       f"least {MIN_SIDE:g} on each side", "left out", **location)
        else:
            records.append(
                ImageLabel(image, classes[box["category_id"] - 1], (x, y, x + width, y + height)))
    previous = ledger.splits.get(name, SplitCount())
    left_out = previous.boxes_left_out + len(content["annotations"]) - len(records)
    ledger.splits[name] = SplitCount(len({record.path for record in records}),
                                     previous.images_left_out, len(records), left_out)
    return records
