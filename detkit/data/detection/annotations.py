"""A split as read from its files, as COCO records, before any check."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Record = dict[str, Any]
# In an annotation: issues (code, message, resolution) of its box, found before the image check.
PENDING_ISSUES_KEY = "detkit_notes"
# In an image record: the name in the file, where it was replaced by another record's name.
ORIGINAL_NAME_KEY = "detkit_name"

SPLITS = ("train", "val", "test")
_SPLIT_WORDS = {
    "train": "train", "training": "train", "trainval": "train",
    "val": "val", "valid": "val", "validation": "val", "minival": "val", "dev": "val",
    "test": "test", "testing": "test",
}


@dataclass
class RawSplit:
    """Images, annotations and categories of one split, unchecked.

    Args:
        name: train, val or test; 'all' for data without splits.
        source: the json file, or the folder of xml files.
        image_dir: the folder that file names are relative to.
        images: COCO image records; from VOC with ``source_file``, the xml file.
        annotations: COCO annotation records; from VOC with ``object``, the ordinal in the xml.
        categories: COCO category records, in the order of the file.
        dropped_masks: the number of annotations whose masks were dropped.
        box_format: the declared box format of the files: 'xywh', or 'xyxy' for VOC, whose boxes
            are kept as [x1, y1, x2 - x1, y2 - y1].
    """

    name: str
    source: Path
    image_dir: Path
    images: list[Record] = field(default_factory=list)
    annotations: list[Record] = field(default_factory=list)
    categories: list[Record] = field(default_factory=list)
    dropped_masks: int = 0
    box_format: str = "xywh"


def record_source(record: Record, raw: RawSplit) -> str:
    """The file that an image record was read from: its xml, or the json of the split."""
    source = record.get("source_file")
    return source if isinstance(source, str) else str(raw.source)


def split_from_name(name: str) -> str | None:
    """The split that a file or folder name contains: 'instances_train2017' is 'train'.

    None when it contains none, or more than one.
    """
    words = [
        _SPLIT_WORDS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _SPLIT_WORDS
    ]
    return words[0] if len(set(words)) == 1 else None
