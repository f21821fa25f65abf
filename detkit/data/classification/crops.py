"""The boxes of a detection set as labelled pictures."""

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
    """Every box of a checked detection set that a classifier can learn from, by split.

    Boxes of crowds, and those with a side of less than four pixels, are left out and told. A
    split that stands in for another is the same list.
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
        # AP ignores difficult objects; as pictures they count like any other.
        difficult = DIFFICULT in box
        if difficult and name == "train":
            ledger.add("difficult_box", "it is difficult, and data_options.train_difficult is "
                       "False", "left out", **location)
        elif box.get("iscrowd") and not difficult:
            ledger.add("crowd_box", "its box is around a crowd, not one thing", "left out",
                       **location)
        elif width < MIN_SIDE or height < MIN_SIDE:
            ledger.add("small_box", f"its box is {width:g} x {height:g} pixels, a picture to "
                       f"learn from has {MIN_SIDE:g} or more a side", "left out", **location)
        else:
            records.append(
                ImageLabel(image, classes[box["category_id"] - 1], (x, y, x + width, y + height)))
    previous = ledger.splits.get(name, SplitCount())
    left_out = previous.boxes_left_out + len(content["annotations"]) - len(records)
    ledger.splits[name] = SplitCount(len({record.path for record in records}),
                                     previous.images_left_out, len(records), left_out)
    return records
