"""Labeled images as read from files, before any check."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

Box = tuple[float, float, float, float]


class ImageLabel(NamedTuple):
    """One image, or one crop of an image, with its class.

    Args:
        path: the image relative to the split's image folder, with '/'; or absolute.
        label: the class name.
        box: (x1, y1, x2, y2) in pixels of the upright image; None for the full image.
        line: line number in the csv file, from 1; 0 without a csv.
    """

    path: str
    label: str
    box: Box | None = None
    line: int = 0


@dataclass
class RawClassificationSplit:
    """Images and class names of one split, unchecked.

    Args:
        name: train, val or test; 'all' for data without splits.
        source: the folder or csv file with the labels.
        image_dir: the folder that paths of records are relative to.
        records: may be empty.
        classes: all declared class names, including those without records.
        left_out: the number of images left out while reading, which are in the ledger.
    """

    name: str
    source: Path
    image_dir: Path
    records: list[ImageLabel] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    left_out: int = 0
