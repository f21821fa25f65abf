"""The boxes of a detection set as labelled pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from detkit.data.classification.image_label import ClassRecord
from detkit.data.detection.learnable import DIFFICULT
from detkit.data.detection.load_detection_data import DataSplit, DetectionData
from detkit.data.report.class_ledger import ClassLedger
from detkit.data.report.ledger import SplitCount

LEAST_SIDE = 4.0


def read_crops(data: DetectionData, ledger: ClassLedger) -> dict[str, list[ClassRecord]]:
    """Every box of a checked detection set that a classifier can learn from, by split.

    Boxes of crowds, and those with a side of less than four pixels, are left out and told. A
    split that stands in for another is the same list.
    """
    parts: dict[str, list[ClassRecord]] = {}
    done: dict[tuple[bytes, Path], str] = {}
    for name, split in data.splits.items():
        content = split.annotation_file.read_bytes()
        same = done.setdefault((hashlib.sha256(content).digest(), split.image_dir), name)
        if same != name:
            parts[name] = parts[same]
            ledger.splits[name] = ledger.splits[same]
            continue
        parts[name] = _crops_of(name, split, data.classes, ledger)
    return parts


def _crops_of(
    name: str, split: DataSplit, classes: Sequence[str], ledger: ClassLedger
) -> list[ClassRecord]:
    content = json.loads(split.annotation_file.read_bytes())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    records = []
    for box in content["annotations"]:
        x, y, width, height = map(float, box["bbox"])
        image = names[box["image_id"]]
        place = {"file": str(split.image_dir), "image": image, "split": name,
                 "annotation": box.get("original_id", box["id"])}
        # AP ignores difficult objects; as pictures they count like any other.
        difficult = DIFFICULT in box
        if difficult and name == "train":
            ledger.add("difficult_box", "it is difficult, and data_options.train_difficult is "
                       "False", "left out", **place)
        elif box.get("iscrowd") and not difficult:
            ledger.add("crowd_box", "its box is around a crowd, not one thing", "left out",
                       **place)
        elif width < LEAST_SIDE or height < LEAST_SIDE:
            ledger.add("small_box", f"its box is {width:g} x {height:g} pixels, a picture to "
                       f"learn from has {LEAST_SIDE:g} or more a side", "left out", **place)
        else:
            records.append(ClassRecord(image, classes[box["category_id"] - 1],
                                       (x, y, x + width, y + height)))
    before = ledger.splits.get(name, SplitCount())
    left_out = before.boxes_left_out + len(content["annotations"]) - len(records)
    ledger.splits[name] = SplitCount(len({record.path for record in records}),
                                     before.images_left_out, len(records), left_out)
    return records
