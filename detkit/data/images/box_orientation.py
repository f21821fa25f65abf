"""Resolve the orientation of boxes where EXIF or the annotated size leave two possibilities.

The decision uses many images, as the boxes of a single one often fit both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from detkit.data.detection.probed_split import ProbedSplit
from detkit.data.images.image_frame import Box, parse_box
from detkit.data.images.image_probe import TRANSPOSED_ORIENTATIONS
from detkit.data.report.ledger import Ledger

BoxOrientation = Literal["upright", "rotated", "unknown"]

# A data set is written by one tool: a few contradicting images are errors in boxes.
MAJORITY_SHARE = 0.95
MIN_IMAGES = 3
PIXEL_TOLERANCE = 1.0
# The orientation where no boxes decide.
DEFAULT_ORIENTATION: dict[str, BoxOrientation] = {
    "stored": "rotated", "upright": "upright", "missing": "upright", "swapped": "unknown"}


@dataclass
class OrientationVotes:
    """How well the boxes of images fit the upright image, and the image rotated by 90 degrees.

    Args:
        upright: number of images that more boxes fit upright.
        rotated: number of images that more boxes fit rotated.
        images: number of all images.
        boxes: number of their boxes.
        boxes_upright: number of boxes that fit the upright image.
        boxes_rotated: number of boxes that fit the rotated image.
    """

    upright: int = 0
    rotated: int = 0
    images: int = 0
    boxes: int = 0
    boxes_upright: int = 0
    boxes_rotated: int = 0

    @property
    def has_quorum(self) -> bool:
        """Whether enough images decide, so that a single wrong box does not."""
        return self.num_decided >= min(MIN_IMAGES, max(1, self.images))

    @property
    def num_decided(self) -> int:
        """The number of images whose boxes fit one orientation better."""
        return self.upright + self.rotated

    @property
    def majority(self) -> BoxOrientation | None:
        """The orientation of nearly all images that decide; None when they contradict each other,
        or none decides."""
        if self.num_decided and self.upright >= MAJORITY_SHARE * self.num_decided:
            return "upright"
        if self.num_decided and self.rotated >= MAJORITY_SHARE * self.num_decided:
            return "rotated"
        return None

    def add(self, boxes: Sequence[Box], width: int, height: int) -> None:
        """Count an image.

        Args:
            boxes: its boxes.
            width, height: of the upright image in pixels.
        """
        upright = sum(_inside(box, width, height) for box in boxes)
        rotated = sum(_inside(box, height, width) for box in boxes)
        self.upright += upright > rotated
        self.rotated += rotated > upright
        self.images += 1
        self.boxes += len(boxes)
        self.boxes_upright += upright
        self.boxes_rotated += rotated


@dataclass
class BoxOrientations:
    """The box orientation of every ambiguous image, by split and index."""

    chosen: dict[tuple[str, int], BoxOrientation] = field(default_factory=dict)

    def box_orientation(self, split: str, index: int) -> BoxOrientation:
        """The box orientation of an image; 'upright' where it is not ambiguous."""
        return self.chosen.get((split, index), "upright")


def resolve_orientations(splits: Sequence[ProbedSplit], ledger: Ledger) -> BoxOrientations:
    """Decide for each image whether its boxes refer to the upright image, or to it rotated by 90
    degrees.

    Images are grouped by their annotated size: the stored or the upright size of a file with EXIF
    orientation, no size, or swapped width and height. The images of a group in the split decide
    together; where fewer than three of them do, those of all splits. Where they contradict each
    other, the boxes of each image decide. Where fewer than three images of all splits decide, and
    not all of them, the annotated size does.

    Args:
        splits: with boxes in xywh, pixels.
        ledger: receives a note on the decision and the number of boxes that fit.
    """
    votes_by_case: dict[str, OrientationVotes] = {}
    by_split: dict[tuple[str, str], OrientationVotes] = {}
    for split in splits:
        for index, case in _ambiguous_images(split):
            for votes in (votes_by_case.setdefault(case, OrientationVotes()),
                          by_split.setdefault((split.raw.name, case), OrientationVotes())):
                votes.add(*_boxes_and_size(split, index))
    orientations = BoxOrientations()
    for split in splits:
        for index, case in _ambiguous_images(split):
            votes = by_split[split.raw.name, case]
            if votes.majority is None or votes.num_decided < MIN_IMAGES:
                votes = votes_by_case[case]
            box_orientation = votes.majority if votes.has_quorum else None
            if box_orientation is None and votes.has_quorum:
                boxes, *size = _boxes_and_size(split, index)
                image_votes = OrientationVotes()
                image_votes.add(boxes, *size)
                box_orientation = image_votes.majority or ("unknown" if boxes else "upright")
            orientations.chosen[split.raw.name, index] = (
                box_orientation or DEFAULT_ORIENTATION[case])
    for case, votes in votes_by_case.items():
        if votes.has_quorum and votes.majority != DEFAULT_ORIENTATION[case]:
            ledger.notes.append(_note(case, votes))
    return orientations


def _ambiguous_images(split: ProbedSplit) -> Iterator[tuple[int, str]]:
    """The index and case of each image whose box orientation is ambiguous."""
    for index, info in enumerate(split.infos):
        if info is None or info.error is not None:
            continue
        upright, annotated = info.upright_wh, split.annotated_wh(index)
        if upright[0] == upright[1]:
            continue
        if info.orientation in TRANSPOSED_ORIENTATIONS:
            if annotated is None:
                yield index, "missing"
            elif annotated == info.stored_wh:
                yield index, "stored"
            elif annotated == upright:
                yield index, "upright"
        elif annotated == upright[::-1]:
            yield index, "swapped"


def _boxes_and_size(split: ProbedSplit, index: int) -> tuple[list[Box], int, int]:
    info = split.infos[index]
    assert info is not None
    boxes = [box for record in split.by_image.get(index, [])
             if (box := parse_box(record.get("bbox"))) is not None]
    return boxes, *info.upright_wh


def _inside(box: Box, width: int, height: int) -> bool:
    left, top, box_width, box_height = box
    return (box_width > 0 and box_height > 0 and left >= -PIXEL_TOLERANCE
            and top >= -PIXEL_TOLERANCE and left + box_width <= width + PIXEL_TOLERANCE
            and top + box_height <= height + PIXEL_TOLERANCE)


def _note(case: str, votes: OrientationVotes) -> str:
    image = "image with swapped sides" if case == "swapped" else "stored image"
    description = {
        "stored": "are annotated with the size before their EXIF orientation",
        "upright": "have an EXIF orientation", "missing": "have an EXIF orientation and no size",
        "swapped": "are annotated with swapped width and height"
    }[case]
    decision = {
        "upright": "all boxes are read as of the upright image",
        "rotated": f"all boxes are read as of the {image}"
    }.get(votes.majority or "", "decided for each image by its boxes")
    return (
        f"{votes.images} images {description}: {votes.boxes_upright} of {votes.boxes} boxes fit "
        f"the upright image, {votes.boxes_rotated} the {image}; {decision}")
