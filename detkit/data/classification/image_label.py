"""Labelled pictures as files give them, before anything is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

Box = tuple[float, float, float, float]


class ImageLabel(NamedTuple):
    """One picture, or one box of a picture, with its class.

    Args:
        path: of the picture, from the split's image folder, with '/'; or absolute.
        label: the class by name.
        box: (x1, y1, x2, y2) in pixels of the upright picture; None for the whole of it.
        line: of the csv file that names it, from 1; 0 when none does.
    """

    path: str
    label: str
    box: Box | None = None
    line: int = 0


@dataclass
class RawClassificationSplit:
    """Pictures and class names of one split, unchecked.

    Args:
        name: train, val or test; 'all' for a set that has no splits yet.
        source: the folder or csv file that says which picture is of which class.
        image_dir: the folder that the records' paths start from.
        records: may be empty.
        classes: every name that is declared, also those that no record bears.
        left_out: pictures that were left out while reading, each with its line in the ledger.
    """

    name: str
    source: Path
    image_dir: Path
    records: list[ImageLabel] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    left_out: int = 0
