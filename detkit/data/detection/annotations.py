"""A split as its files give it, in COCO's words, before anything is checked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Record = dict[str, Any]
# In an annotation: findings (kind, what, action) on its box from before its image was checked.
PENDING_ISSUES_KEY = "detkit_notes"
# In an image record: the name that its file gives, where another record's stands for it.
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
        name: train, val or test; 'all' for a set that has no splits yet.
        source: the json file, or the folder of xml files.
        image_dir: the folder that file names start from.
        images: COCO image records. ``source_file`` in one names the xml that it came from.
        annotations: COCO annotation records. ``object`` in one is its ordinal in its xml.
        categories: COCO category records, in the order of the file.
        dropped_masks: annotations whose masks were not read in.
        box_format: what the four numbers of a box are in the files: 'xywh', or 'xyxy' of VOC
            files, whose boxes are kept as [x1, y1, x2 - x1, y2 - y1].
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
    """The file that an image record came from: its own xml, or the split's one json."""
    source = record.get("source_file")
    return source if isinstance(source, str) else str(raw.source)


def split_from_name(name: str) -> str | None:
    """The split that a file or folder name speaks of: 'instances_train2017' is 'train'.

    None when it names none, or more than one.
    """
    words = [
        _SPLIT_WORDS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _SPLIT_WORDS
    ]
    return words[0] if len(set(words)) == 1 else None
