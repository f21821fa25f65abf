"""What the four numbers of a box are: sizes or corners, pixels or fractions; judged by the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detkit.data.detection.annotations import NOTES, Record
from detkit.data.detection.probed_split import SurveyedSplit
from detkit.data.formats.shape_box import add_note
from detkit.data.images.exif import Box, as_box, is_empty
from detkit.data.report.ledger import REFUSED, Ledger

WORDS = {
    "xywh": "[x, y, width, height]",
    "xyxy": "corners [x1, y1, x2, y2]",
    "cxcywh": "[center x, center y, width, height]",
}
FRACTION = "normalized_"
OPTION = "data_options.box_format"
FORMATS = (*WORDS, *(FRACTION + name for name in WORDS))

# Another reading is believed when nearly all boxes fit it, and of the stated one too many do not.
NEARLY_ALL = 0.95
TOO_FEW = 0.8
LEAST = 3
# Small boxes mostly fit in either reading: there the few that do not are what tells, where
# practically all of them fit another.
ALL_BUT_SLIPS = 0.99
MISSED = 10
MISSED_SHARE = 0.05
# A box may reach a pixel beyond the image, counted from 1; fractions are rounded.
PIXEL = 1.0
ROUNDED = 0.002


@dataclass
class Fits:
    """How many of some boxes lie within their images, by reading.

    Args:
        count: boxes of four finite numbers.
        fractions: those of them whose numbers are all from 0 to 1.
        within: by format, how many fit so.
    """

    count: int = 0
    fractions: int = 0
    within: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FORMATS, 0))

    def add(self, other: Fits) -> None:
        """Count the other's boxes too."""
        self.count += other.count
        self.fractions += other.fractions
        for name in FORMATS:
            self.within[name] += other.within[name]

    def share(self, name: str) -> str:
        """As a message says it: '3 of 12 boxes (25 %)'."""
        percent = 100 * self.within[name] / max(1, self.count)
        return f"{self.within[name]} of {self.count} boxes ({percent:.0f} %)"

    def better_than(self, stated: str) -> list[str]:
        """The formats that the boxes fit though they do not fit ``stated``; the best first."""
        if self.count < LEAST:
            return []
        others = [name for name in FORMATS if name != stated
                  and self.within[name] >= NEARLY_ALL * self.count]
        if self.fractions >= NEARLY_ALL * self.count:
            # As pixels every one of them is a speck in the corner, and fits.
            others = [name for name in others if name.startswith(FRACTION)]
            fits = stated.startswith(FRACTION) and self.within[stated] > TOO_FEW * self.count
        else:
            others = [name for name in others if not name.startswith(FRACTION)]
            fits = (self.within[stated] > TOO_FEW * self.count
                    or self.count - self.within[stated] < LEAST)
        if fits and (self.count - self.within[stated]
                     >= max(MISSED, MISSED_SHARE * self.count)):
            others = [name for name in others
                      if self.within[name] >= ALL_BUT_SLIPS * self.count]
            fits = not others
        return [] if fits else sorted(others, key=lambda name: -self.within[name])


def settle_format(
    splits: Sequence[SurveyedSplit], asked: str | Mapping[str, str] | None, ledger: Ledger,
    read_as_it_is: bool = False,
) -> bool:
    """Bring all boxes into COCO's [x, y, width, height], or refuse them with the shares said.

    Args:
        splits: their boxes are changed in place where another format is asked for, or where
            corners are exchanged.
        asked: the format that the user names, of all splits or by split; None, as for a split
            that is not named, for what the split's own format says.
        ledger: takes what does not fit.
        read_as_it_is: the file is not copied but read by others, who know its own format alone.

    Returns:
        False when a split was refused; checking its boxes as they stand would say nothing true.
    """
    fits = {split.raw.name: _fits_of(split) for split in splits}
    names = {split.raw.name: _asked_of(asked, split.raw.name) for split in splits}
    whole = Fits()
    for one in fits.values():
        whole.add(one)
    wrong: list[tuple[SurveyedSplit, Fits, list[str]]] = []
    for split in splits:
        own, named = split.raw.box_format, names[split.raw.name]
        found, better = fits[split.raw.name], fits[split.raw.name].better_than(named or own)
        if not better and whole.count > found.count < LEAST:
            found, better = whole, whole.better_than(named or own)
        # The format's own reading, where the user insists on it, is what the file promises.
        if better and not (named == own):
            wrong.append((split, found, better))
        elif named is not None and named != own:
            ledger.notes.append(f"{split.raw.name}: boxes are read as {_words(named)}, as "
                                f"data_options says: {found.share(named)} lie within their images "
                                f"so, {found.share(own)} as {_words(own)}")
    # Where other splits fit, or fit another format, only this one's is to be changed.
    alike = len({tuple(better) for *_, better in wrong}) == 1 and len(wrong) == sum(
        one.count > 0 for one in fits.values())
    for split, found, better in wrong:
        name, own = split.raw.name, split.raw.box_format
        others = "" if alike or not isinstance(asked, str) else "".join(
            f"{OPTION}.{other}={asked} " for other in fits if other != name)
        key = OPTION if alike or len(splits) == 1 else f"{others}{OPTION}.{name}"
        ledger.add("box_format", _misfit(found, names[name] or own, better)
                   + _advice(key, names[name] or own, better, own, read_as_it_is), REFUSED,
                   file=str(split.raw.source), split=name)
    if isinstance(asked, Mapping):
        ledger.notes += [f"{OPTION} names a {name} split, and there is none"
                         for name in asked if name not in names and "all" not in names]
    for split in splits if not wrong else ():
        _convert(split, split.raw.box_format, names[split.raw.name] or split.raw.box_format, ledger)
    return not wrong


def _asked_of(asked: str | Mapping[str, str] | None, split: str) -> str | None:
    return asked.get(split) if isinstance(asked, Mapping) else asked


def _misfit(fits: Fits, stated: str, better: Sequence[str]) -> str:
    if better[0].startswith(FRACTION):
        return (f"the boxes are no pixels: the numbers of {fits.fractions} of {fits.count} are "
                "from 0 to 1; " + ", ".join(f"{fits.share(name)} fit as {_words(name)}"
                                            for name in FORMATS if name.startswith(FRACTION)))
    return (f"the boxes do not fit as {_words(stated)}: {fits.share(stated)} lie within their "
            "images so, and " + ", ".join(f"{fits.share(name)} as {_words(name)}"
                                          for name in better))


def _advice(key: str, stated: str, better: Sequence[str], own: str, read_as_it_is: bool) -> str:
    options = " or ".join(f"{key if at == 0 else ''}={name}" for at, name in enumerate(better))
    keep = stated == own and not better[0].startswith(FRACTION)
    if read_as_it_is:
        return (f"; mend the file, or pass its folder as --data with --cfg-options {options}"
                + (f"; to keep the reading, add --cfg-options {OPTION}={own}"
                   if keep else ""))
    return f"; to read them so, add --cfg-options {options}" + (
        f", or ={own} to keep the reading and clip what reaches beyond" if keep else "")


def _words(name: str) -> str:
    if name.startswith(FRACTION):
        return f"{WORDS[name.removeprefix(FRACTION)]} in fractions of the image"
    return WORDS[name]


def _records(split: SurveyedSplit) -> list[tuple[int, Record]]:
    """Annotations of images that are there, each with its image's place, without those whose box
    was made from a mask."""
    return [(at, record) for at, records in split.by_image.items() for record in records
            if not record.get(NOTES)]


def _fits_of(split: SurveyedSplit) -> Fits:
    stated: list[Box] = []
    frames: list[tuple[float, ...]] = []
    by_image = {at: _frames(split, at) for at in split.by_image}
    for at, record in _records(split):
        box, sizes_of_image = as_box(record.get("bbox")), by_image[at]
        if box is not None and not is_empty(box) and sizes_of_image is not None:
            stated.append(box)
            frames.append(sizes_of_image)
    if not stated:
        return Fits()
    boxes = np.asarray(stated, np.float64)
    if split.raw.box_format == "xyxy":
        with np.errstate(over="ignore"):
            boxes[:, 2:] += boxes[:, :2]  # the file's own corners
    sizes = np.asarray(frames, np.float64).reshape(len(boxes), 3, 2)
    ones = np.ones((len(boxes), 1, 2))
    found = Fits(len(boxes), int(((boxes >= -ROUNDED) & (boxes <= 1 + ROUNDED)).all(1).sum()))
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near a float's end fit nowhere
        for name in WORDS:
            found.within[name] = _within(boxes, name, sizes, PIXEL)
            found.within[FRACTION + name] = _within(boxes, name, ones, ROUNDED)
    return found


def _frames(split: SurveyedSplit, at: int) -> tuple[float, ...] | None:
    """Each size that an image may have been drawn in: as shown, as stored, as stated. None where
    none is known."""
    facts, stated = split.facts[at], split.stated_wh(at)
    known: list[tuple[float, float]]
    known = [] if facts is None or facts.fault is not None else [facts.seen_wh, facts.stored_wh]
    known += [stated] if stated is not None else []
    if not known:
        return None
    return tuple(side for place in range(3) for side in known[min(place, len(known) - 1)])


def _within(boxes: NDArray[np.float64], name: str, sizes: NDArray[np.float64], slack: float) -> int:
    """How many boxes have an extent and lie within one of their sizes (N, F, 2)."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if name == "xyxy":
        low, high = first, second
    elif name == "xywh":
        low, high = first, first + second
    else:
        low, high = first - second / 2, first + second / 2
    extent = (high > low).all(1) & (low >= -slack).all(1)
    inside = high[:, None] <= sizes + slack
    return int((extent & (inside[..., 0] & inside[..., 1]).any(1)).sum())


def _convert(split: SurveyedSplit, own: str, name: str, ledger: Ledger) -> None:
    """Boxes become xywh in pixels of the frame that their image's size is stated in."""
    if name == own == "xywh":
        return
    drawn = {at: split.drawn_wh(at) for at in range(len(split.images))}
    for at, record in _records(split):
        box = as_box(record.get("bbox"))
        if box is None:
            continue
        if name != own:
            box = _as_xywh(box, own, name, drawn[at])
            record["bbox"] = list(box)
        left, top, width, height = box
        if name.endswith("xyxy") and min(width, height) < 0 and width and height:
            ordered = [left + min(0, width), top + min(0, height), abs(width), abs(height)]
            add_note(record, "corners_exchanged", f"the corner ({left}, {top}) is not the upper "
                     f"left of ({left + width}, {top + height}), but of the box {ordered}",
                     "put in order")
            record["bbox"] = ordered
    if name.startswith(FRACTION):
        _state_sizes(split, drawn, ledger)


def _state_sizes(
    split: SurveyedSplit, drawn: Mapping[int, tuple[float, float]], ledger: Ledger
) -> None:
    """Fractions hold for any size: a stated one that is another copy's tells nothing of boxes."""
    changed = 0
    for at, (width, height) in drawn.items():
        stated = split.stated_wh(at)
        if stated is not None and stated != (width, height):
            split.images[at].update(width=width, height=height)
            changed += 1
    if changed:
        ledger.notes.append(f"{split.raw.name}: {changed} images state another size than their "
                            "file's, which boxes in fractions do not depend on")


def _as_xywh(box: Box, own: str, name: str, size_wh: tuple[float, float]) -> Box:
    """A box as read, which is xywh for its own format, in another format's meaning."""
    a, b, c, d = box
    if own == "xyxy":
        c, d = a + c, b + d
    if name.startswith(FRACTION):
        a, b, c, d = a * size_wh[0], b * size_wh[1], c * size_wh[0], d * size_wh[1]
    reading = name.removeprefix(FRACTION)
    if reading == "xyxy":
        return a, b, c - a, d - b
    if reading == "cxcywh":
        return a - c / 2, b - d / 2, c, d
    return a, b, c, d
