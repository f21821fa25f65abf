"""Which way up boxes were drawn, where a file's EXIF or the stated size leaves two ways: judged
over the set, for the boxes of one image often fit both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from detkit.data.detection.probed_split import SurveyedSplit
from detkit.data.images.exif import Box, as_box
from detkit.data.images.image_probe import TURNED
from detkit.data.report.ledger import Ledger

Way = Literal["shown", "turned", "unknown"]

# One tool wrote a set: a few boxes that are wrong in themselves do not make it two.
NEARLY_ALL = 0.95
LEAST = 3
PIXEL = 1.0
# What an image is taken for where no box of the set tells.
WITHOUT_WORD: dict[str, Way] = {
    "as stored": "turned", "as shown": "shown", "missing": "shown", "exchanged": "unknown"}


@dataclass
class Votes:
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
    def enough(self) -> bool:
        """Whether so many images tell that one box that is wrong in itself does not decide."""
        return self.shown + self.turned >= min(LEAST, max(1, self.images))

    @property
    def clear(self) -> Way | None:
        """The way that nearly all images that tell one tell; None when they contradict, or none
        does."""
        told = self.shown + self.turned
        if told and self.shown >= NEARLY_ALL * told:
            return "shown"
        if told and self.turned >= NEARLY_ALL * told:
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
class Orientations:
    """The way of every image for which there are two, by split and place."""

    ways: dict[tuple[str, int], Way] = field(default_factory=dict)

    def way(self, split: str, at: int) -> Way:
        """'shown' for every image that leaves no choice."""
        return self.ways.get((split, at), "shown")


def settle_orientations(splits: Sequence[SurveyedSplit], ledger: Ledger) -> Orientations:
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
    whole: dict[str, Votes] = {}
    by_split: dict[tuple[str, str], Votes] = {}
    for split in splits:
        for at, case in _cases(split):
            for votes in (whole.setdefault(case, Votes()),
                          by_split.setdefault((split.raw.name, case), Votes())):
                votes.add(*_boxes_and_size(split, at))
    decided = Orientations()
    for split in splits:
        for at, case in _cases(split):
            own = by_split[split.raw.name, case]
            votes = own if own.clear and own.shown + own.turned >= LEAST else whole[case]
            way = votes.clear if votes.enough else None
            if way is None and votes.enough:
                boxes, *size = _boxes_and_size(split, at)
                alone = Votes()
                alone.add(boxes, *size)
                way = alone.clear or ("unknown" if boxes else "shown")
            decided.ways[split.raw.name, at] = way or WITHOUT_WORD[case]
    for case, votes in whole.items():
        if votes.enough and votes.clear != WITHOUT_WORD[case]:
            ledger.notes.append(_note(case, votes))
    return decided


def _cases(split: SurveyedSplit) -> Iterator[tuple[int, str]]:
    """Place and case of each image that could be either way up."""
    for at, facts in enumerate(split.facts):
        if facts is None or facts.fault is not None:
            continue
        shown, stated = facts.seen_wh, split.stated_wh(at)
        if shown[0] == shown[1]:
            continue
        if facts.orientation in TURNED:
            if stated is None:
                yield at, "missing"
            elif stated == facts.stored_wh:
                yield at, "as stored"
            elif stated == shown:
                yield at, "as shown"
        elif stated == shown[::-1]:
            yield at, "exchanged"


def _boxes_and_size(split: SurveyedSplit, at: int) -> tuple[list[Box], int, int]:
    facts = split.facts[at]
    assert facts is not None
    boxes = [box for record in split.by_image.get(at, [])
             if (box := as_box(record.get("bbox"))) is not None]
    return boxes, *facts.seen_wh


def _inside(box: Box, width: int, height: int) -> bool:
    left, top, across, down = box
    return (across > 0 and down > 0 and left >= -PIXEL and top >= -PIXEL
            and left + across <= width + PIXEL and top + down <= height + PIXEL)


def _note(case: str, votes: Votes) -> str:
    image = ("image with its sides exchanged" if case == "exchanged"
             else "image as its file stores it")
    what = {"as stored": "whose size is stated without their EXIF orientation",
            "as shown": "with an EXIF orientation", "missing": "with an EXIF orientation, no size",
            "exchanged": "whose width and height are stated the other way round"}[case]
    read = {"shown": "all are taken as drawn on the upright image",
            "turned": f"all are taken as drawn on the {image}"}.get(
        votes.clear or "", "each image is judged by its own boxes")
    return (f"{votes.images} images {what}: {votes.boxes_shown} of {votes.boxes} boxes fit the "
            f"upright image, {votes.boxes_turned} the {image}; {read}")
