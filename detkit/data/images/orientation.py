"""Which way up boxes were drawn, where a file's EXIF or the stated size leaves two ways: judged
over the set, for the boxes of one image often fit both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from detkit.data.detection.probed_split import ProbedSplit
from detkit.data.images.exif import Box, parse_box
from detkit.data.images.image_probe import TRANSPOSED_ORIENTATIONS
from detkit.data.report.ledger import Ledger

BoxOrientation = Literal["shown", "turned", "unknown"]

# One tool wrote a set: a few boxes that are wrong in themselves do not make it two.
MAJORITY_SHARE = 0.95
MIN_IMAGES = 3
PIXEL_TOLERANCE = 1.0
# What an image is taken for where no box of the set tells.
DEFAULT_ORIENTATION: dict[str, BoxOrientation] = {
    "as stored": "turned", "as shown": "shown", "missing": "shown", "exchanged": "unknown"}


@dataclass
class OrientationVotes:
    """How the boxes of some images lie in the image as shown, and in it turned by a quarter.

    Args:
        shown: images that more boxes fit as shown.
        turned: images that more boxes fit turned.
        images: all of the images.
        boxes: their boxes.
        boxes_shown: boxes that fit the image as shown.
        boxes_turned: boxes that fit the image turned.
    """

    shown: int = 0
    turned: int = 0
    images: int = 0
    boxes: int = 0
    boxes_shown: int = 0
    boxes_turned: int = 0

    @property
    def has_quorum(self) -> bool:
        """Whether so many images tell that one box that is wrong in itself does not decide."""
        return self.shown + self.turned >= min(MIN_IMAGES, max(1, self.images))

    @property
    def majority(self) -> BoxOrientation | None:
        """The way that nearly all images that tell one tell; None when they contradict, or none
        does."""
        decided_images = self.shown + self.turned
        if decided_images and self.shown >= MAJORITY_SHARE * decided_images:
            return "shown"
        if decided_images and self.turned >= MAJORITY_SHARE * decided_images:
            return "turned"
        return None

    def add(self, boxes: Sequence[Box], width: int, height: int) -> None:
        """Count one image of the shown size."""
        shown = sum(_inside(box, width, height) for box in boxes)
        turned = sum(_inside(box, height, width) for box in boxes)
        self.shown += shown > turned
        self.turned += turned > shown
        self.images += 1
        self.boxes += len(boxes)
        self.boxes_shown += shown
        self.boxes_turned += turned


@dataclass
class BoxOrientations:
    """The way of every image for which there are two, by split and place."""

    chosen: dict[tuple[str, int], BoxOrientation] = field(default_factory=dict)

    def box_orientation(self, split: str, index: int) -> BoxOrientation:
        """'shown' for every image that leaves no choice."""
        return self.chosen.get((split, index), "shown")


def resolve_orientations(splits: Sequence[ProbedSplit], ledger: Ledger) -> BoxOrientations:
    """Decide for each image whether its boxes are in the image as shown or turned by a quarter.

    Images are judged with those whose stated size is alike: that of the stored or the upright
    image of a file with EXIF orientation, none, or one with the sides exchanged. The boxes of
    the split decide, where fewer than three of its images tell those of the whole set, and of a
    set that contradicts itself each image's own. Where fewer than three images of the whole set
    tell, and not all of them, the stated size decides.

    Args:
        splits: with boxes in xywh, pixels.
        ledger: a note says what was decided and how many boxes fit each way.
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
            split_votes = by_split[split.raw.name, case]
            votes = split_votes if split_votes.majority and split_votes.shown + split_votes.turned >= MIN_IMAGES else votes_by_case[
                case]
            box_orientation = votes.majority if votes.has_quorum else None
            if box_orientation is None and votes.has_quorum:
                boxes, *size = _boxes_and_size(split, index)
                image_votes = OrientationVotes()
                image_votes.add(boxes, *size)
                box_orientation = image_votes.majority or ("unknown" if boxes else "shown")
            orientations.chosen[split.raw.name,
                                index] = box_orientation or DEFAULT_ORIENTATION[case]
    for case, votes in votes_by_case.items():
        if votes.has_quorum and votes.majority != DEFAULT_ORIENTATION[case]:
            ledger.notes.append(_note(case, votes))
    return orientations


def _ambiguous_images(split: ProbedSplit) -> Iterator[tuple[int, str]]:
    """Place and case of each image that could be either way up."""
    for index, info in enumerate(split.infos):
        if info is None or info.error is not None:
            continue
        shown, stated = info.upright_wh, split.annotated_wh(index)
        if shown[0] == shown[1]:
            continue
        if info.orientation in TRANSPOSED_ORIENTATIONS:
            if stated is None:
                yield index, "missing"
            elif stated == info.stored_wh:
                yield index, "as stored"
            elif stated == shown:
                yield index, "as shown"
        elif stated == shown[::-1]:
            yield index, "exchanged"


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
    image = ("image with its sides exchanged" if case == "exchanged"
             else "image as its file stores it")
    description = {
        "as stored": "whose size is stated without their EXIF orientation",
        "as shown": "with an EXIF orientation", "missing": "with an EXIF orientation, no size",
        "exchanged": "whose width and height are stated the other way round"
    }[case]
    decision = {
        "shown": "all are taken as drawn on the upright image",
        "turned": f"all are taken as drawn on the {image}"
    }.get(votes.majority or "", "each image is judged by its own boxes")
    return (
        f"{votes.images} images {description}: {votes.boxes_shown} of {votes.boxes} boxes fit the "
        f"upright image, {votes.boxes_turned} the {image}; {decision}")
