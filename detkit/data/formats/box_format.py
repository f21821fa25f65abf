"""What the four numbers of a box are: sizes or corners, pixels or fractions; judged by the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detkit.data.detection.annotations import PENDING_ISSUES_KEY, Record
from detkit.data.detection.probed_split import ProbedSplit
from detkit.data.formats.shape_box import add_pending_issue
from detkit.data.images.exif import Box, is_empty_box, parse_box
from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger

FORMAT_DESCRIPTIONS = {
    "xywh": "[x, y, width, height]",
    "xyxy": "corners [x1, y1, x2, y2]",
    "cxcywh": "[center x, center y, width, height]",
}
NORMALIZED_PREFIX = "normalized_"
BOX_FORMAT_OPTION = "data_options.box_format"
BOX_FORMATS = (*FORMAT_DESCRIPTIONS, *(NORMALIZED_PREFIX + name for name in FORMAT_DESCRIPTIONS))

# Another reading is believed when nearly all boxes fit it, and of the stated one too many do not.
MIN_FIT_SHARE = 0.95
MAX_MISFIT_SHARE = 0.8
MIN_BOXES = 3
# Small boxes mostly fit in either reading: there the few that do not are what tells, where
# practically all of them fit another.
STRICT_FIT_SHARE = 0.99
MIN_MISSES = 10
MIN_MISS_SHARE = 0.05
# A box may reach a pixel beyond the image, counted from 1; fractions are rounded.
PIXEL_TOLERANCE = 1.0
FRACTION_TOLERANCE = 0.002


@dataclass
class FormatFit:
    """How many of some boxes lie within their images, by reading.

    Args:
        count: boxes of four finite numbers.
        num_normalized: those of them whose numbers are all from 0 to 1.
        num_within: by format, how many fit so.
    """

    count: int = 0
    num_normalized: int = 0
    num_within: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BOX_FORMATS, 0))

    def add(self, other: FormatFit) -> None:
        """Count the other's boxes too."""
        self.count += other.count
        self.num_normalized += other.num_normalized
        for name in BOX_FORMATS:
            self.num_within[name] += other.num_within[name]

    def describe_share(self, name: str) -> str:
        """As a message says it: '3 of 12 boxes (25 %)'."""
        percent = 100 * self.num_within[name] / max(1, self.count)
        return f"{self.num_within[name]} of {self.count} boxes ({percent:.0f} %)"

    def better_formats(self, stated: str) -> list[str]:
        """The formats that the boxes fit though they do not fit ``stated``; the best first."""
        if self.count < MIN_BOXES:
            return []
        others = [name for name in BOX_FORMATS if name != stated
                  and self.num_within[name] >= MIN_FIT_SHARE * self.count]
        if self.num_normalized >= MIN_FIT_SHARE * self.count:
            # As pixels every one of them is a speck in the corner, and fits.
            others = [name for name in others if name.startswith(NORMALIZED_PREFIX)]
            fits = stated.startswith(
                NORMALIZED_PREFIX) and self.num_within[stated] > MAX_MISFIT_SHARE * self.count
        else:
            others = [name for name in others if not name.startswith(NORMALIZED_PREFIX)]
            fits = (self.num_within[stated] > MAX_MISFIT_SHARE * self.count
                    or self.count - self.num_within[stated] < MIN_BOXES)
        if fits and (self.count - self.num_within[stated]
                     >= max(MIN_MISSES, MIN_MISS_SHARE * self.count)):
            others = [name for name in others
                      if self.num_within[name] >= STRICT_FIT_SHARE * self.count]
            fits = not others
        return [] if fits else sorted(others, key=lambda name: -self.num_within[name])


def resolve_box_format(
    splits: Sequence[ProbedSplit], requested: str | Mapping[str, str] | None, ledger: Ledger,
    read_in_place: bool = False,
) -> bool:
    """Bring all boxes into COCO's [x, y, width, height], or refuse them with the shares said.

    Args:
        splits: their boxes are changed in place where another format is asked for, or where
            corners are exchanged.
        requested: the format that the user names, of all splits or by split; None, as for a split
            that is not named, for what the split's own format says.
        ledger: takes what does not fit.
        read_in_place: the file is not copied but read by others, who know its own format alone.

    Returns:
        False when a split was refused; checking its boxes as they stand would say nothing true.
    """
    fits = {split.raw.name: _count_fits(split) for split in splits}
    names = {split.raw.name: _requested_format(requested, split.raw.name) for split in splits}
    total = FormatFit()
    for fit in fits.values():
        total.add(fit)
    misfits: list[tuple[ProbedSplit, FormatFit, list[str]]] = []
    for split in splits:
        declared, named = split.raw.box_format, names[split.raw.name]
        fit, better = fits[split.raw.name], fits[split.raw.name].better_formats(named or declared)
        if not better and total.count > fit.count < MIN_BOXES:
            fit, better = total, total.better_formats(named or declared)
        # The format's own reading, where the user insists on it, is what the file promises.
        if better and not (named == declared):
            misfits.append((split, fit, better))
        elif named is not None and named != declared:
            ledger.notes.append(
                f"{split.raw.name}: boxes are read as {_describe_format(named)}, as "
                f"data_options says: {fit.describe_share(named)} lie within their images "
                f"so, {fit.describe_share(declared)} as {_describe_format(declared)}")
    # Where other splits fit, or fit another format, only this one's is to be changed.
    same_fix = len({tuple(better) for *_, better in misfits}) == 1 and len(misfits) == sum(
        fit.count > 0 for fit in fits.values())
    for split, fit, better in misfits:
        name, declared = split.raw.name, split.raw.box_format
        others = "" if same_fix or not isinstance(requested, str) else "".join(
            f"{BOX_FORMAT_OPTION}.{other}={requested} " for other in fits if other != name)
        key = BOX_FORMAT_OPTION if same_fix or len(
            splits) == 1 else f"{others}{BOX_FORMAT_OPTION}.{name}"
        ledger.add(
            "box_format",
            _misfit_message(fit, names[name] or declared, better) +
            _fix_message(key, names[name] or declared, better, declared, read_in_place), ERROR,
            file=str(split.raw.source), split=name)
    if isinstance(requested, Mapping):
        ledger.notes += [f"{BOX_FORMAT_OPTION} names a {name} split, and there is none"
                         for name in requested if name not in names and "all" not in names]
    for split in splits if not misfits else ():
        _convert(split, split.raw.box_format, names[split.raw.name] or split.raw.box_format, ledger)
    return not misfits


def _requested_format(requested: str | Mapping[str, str] | None, split: str) -> str | None:
    return requested.get(split) if isinstance(requested, Mapping) else requested


def _misfit_message(fits: FormatFit, stated: str, better: Sequence[str]) -> str:
    if better[0].startswith(NORMALIZED_PREFIX):
        return (
            f"the boxes are no pixels: the numbers of {fits.num_normalized} of {fits.count} are "
            "from 0 to 1; " +
            ", ".join(f"{fits.describe_share(name)} fit as {_describe_format(name)}"
                      for name in BOX_FORMATS
                      if name.startswith(NORMALIZED_PREFIX)))
    return (
        f"the boxes do not fit as {_describe_format(stated)}: {fits.describe_share(stated)} lie within their "
        "images so, and " +
        ", ".join(f"{fits.describe_share(name)} as {_describe_format(name)}" for name in better))


def _fix_message(key: str, stated: str, better: Sequence[str], declared: str,
                 read_in_place: bool) -> str:
    options = " or ".join(
        f"{key if index == 0 else ''}={name}" for index, name in enumerate(better))
    keep = stated == declared and not better[0].startswith(NORMALIZED_PREFIX)
    if read_in_place:
        return (f"; mend the file, or pass its folder as --data with --cfg-options {options}"
                + (f"; to keep the reading, add --cfg-options {BOX_FORMAT_OPTION}={declared}"
                   if keep else ""))
    return f"; to read them so, add --cfg-options {options}" + (
        f", or ={declared} to keep the reading and clip what reaches beyond" if keep else "")


def _describe_format(name: str) -> str:
    if name.startswith(NORMALIZED_PREFIX):
        return f"{FORMAT_DESCRIPTIONS[name.removeprefix(NORMALIZED_PREFIX)]} in fractions of the image"
    return FORMAT_DESCRIPTIONS[name]


def _records(split: ProbedSplit) -> list[tuple[int, Record]]:
    """Annotations of images that are there, each with its image's place, without those whose box
    was made from a mask."""
    return [(index, record) for index, records in split.by_image.items() for record in records
            if not record.get(PENDING_ISSUES_KEY)]


def _count_fits(split: ProbedSplit) -> FormatFit:
    stated: list[Box] = []
    candidate_sizes: list[tuple[float, ...]] = []
    by_image = {index: _candidate_sizes(split, index) for index in split.by_image}
    for index, record in _records(split):
        box, sizes_of_image = parse_box(record.get("bbox")), by_image[index]
        if box is not None and not is_empty_box(box) and sizes_of_image is not None:
            stated.append(box)
            candidate_sizes.append(sizes_of_image)
    if not stated:
        return FormatFit()
    boxes = np.asarray(stated, np.float64)
    if split.raw.box_format == "xyxy":
        with np.errstate(over="ignore"):
            boxes[:, 2:] += boxes[:, :2]  # the file's own corners
    sizes = np.asarray(candidate_sizes, np.float64).reshape(len(boxes), 3, 2)
    ones = np.ones((len(boxes), 1, 2))
    fit = FormatFit(
        len(boxes),
        int(((boxes >= -FRACTION_TOLERANCE) & (boxes <= 1 + FRACTION_TOLERANCE)).all(1).sum()))
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near a float's end fit nowhere
        for name in FORMAT_DESCRIPTIONS:
            fit.num_within[name] = _within(boxes, name, sizes, PIXEL_TOLERANCE)
            fit.num_within[NORMALIZED_PREFIX + name] = _within(boxes, name, ones,
                                                               FRACTION_TOLERANCE)
    return fit


def _candidate_sizes(split: ProbedSplit, index: int) -> tuple[float, ...] | None:
    """Each size that an image may have been drawn in: as shown, as stored, as stated. None where
    none is known."""
    info, stated = split.infos[index], split.annotated_wh(index)
    known: list[tuple[float, float]]
    known = [] if info is None or info.error is not None else [info.upright_wh, info.stored_wh]
    known += [stated] if stated is not None else []
    if not known:
        return None
    return tuple(side for slot in range(3) for side in known[min(slot, len(known) - 1)])


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


def _convert(split: ProbedSplit, declared: str, name: str, ledger: Ledger) -> None:
    """Boxes become xywh in pixels of the frame that their image's size is stated in."""
    if name == declared == "xywh":
        return
    frame_sizes = {index: split.annotation_frame_wh(index) for index in range(len(split.images))}
    for index, record in _records(split):
        box = parse_box(record.get("bbox"))
        if box is None:
            continue
        if name != declared:
            box = _as_xywh(box, declared, name, frame_sizes[index])
            record["bbox"] = list(box)
        left, top, width, height = box
        if name.endswith("xyxy") and min(width, height) < 0 and width and height:
            ordered = [left + min(0, width), top + min(0, height), abs(width), abs(height)]
            add_pending_issue(
                record, "corners_exchanged", f"the corner ({left}, {top}) is not the upper "
                f"left of ({left + width}, {top + height}), but of the box {ordered}",
                "put in order")
            record["bbox"] = ordered
    if name.startswith(NORMALIZED_PREFIX):
        _state_sizes(split, frame_sizes, ledger)


def _state_sizes(
    split: ProbedSplit, frame_sizes: Mapping[int, tuple[float, float]], ledger: Ledger
) -> None:
    """Fractions hold for any size: a stated one that is another copy's tells nothing of boxes."""
    changed = 0
    for index, (width, height) in frame_sizes.items():
        stated = split.annotated_wh(index)
        if stated is not None and stated != (width, height):
            split.images[index].update(width=width, height=height)
            changed += 1
    if changed:
        ledger.notes.append(f"{split.raw.name}: {changed} images state another size than their "
                            "file's, which boxes in fractions do not depend on")


def _as_xywh(box: Box, declared: str, name: str, size_wh: tuple[float, float]) -> Box:
    """A box as read, which is xywh for its own format, in another format's meaning."""
    a, b, c, d = box
    if declared == "xyxy":
        c, d = a + c, b + d
    if name.startswith(NORMALIZED_PREFIX):
        a, b, c, d = a * size_wh[0], b * size_wh[1], c * size_wh[0], d * size_wh[1]
    reading = name.removeprefix(NORMALIZED_PREFIX)
    if reading == "xyxy":
        return a, b, c - a, d - b
    if reading == "cxcywh":
        return a - c / 2, b - d / 2, c, d
    return a, b, c, d
