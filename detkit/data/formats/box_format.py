"""Resolve the box format: sizes or corners, pixels or normalized, by how many boxes fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detkit.data.detection.annotations import PENDING_ISSUES_KEY, Record
from detkit.data.detection.probed_split import ProbedSplit
from detkit.data.formats.shape_box import add_pending_issue
from detkit.data.images.image_frame import Box, is_empty_box, parse_box
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

# A different format is reported when nearly all boxes fit it and many do not fit the declared one.
MIN_FIT_SHARE = 0.95
MAX_MISFIT_SHARE = 0.8
MIN_BOXES = 3
# Small boxes mostly fit in every format: then a few misfits decide, if practically all boxes fit
# another format.
STRICT_FIT_SHARE = 0.99
MIN_MISSES = 10
MIN_MISS_SHARE = 0.05
# A box with 1-based pixels may exceed the image by one pixel; normalized values are rounded.
PIXEL_TOLERANCE = 1.0
FRACTION_TOLERANCE = 0.002


@dataclass
class FormatFit:
    """How many boxes lie within their images, for each box format.

    Args:
        count: boxes of four finite numbers.
        num_normalized: boxes whose numbers are all from 0 to 1.
        num_within: by format, the number of boxes within their images.
    """

    count: int = 0
    num_normalized: int = 0
    num_within: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BOX_FORMATS, 0))

    def add(self, other: FormatFit) -> None:
        """Add the counts of other boxes."""
        self.count += other.count
        self.num_normalized += other.num_normalized
        for name in BOX_FORMATS:
            self.num_within[name] += other.num_within[name]

    def describe_share(self, name: str) -> str:
        """The share of boxes that fit a format, for a message: '3 of 12 boxes (25 %)'."""
        percent = 100 * self.num_within[name] / max(1, self.count)
        return f"{self.num_within[name]} of {self.count} boxes ({percent:.0f} %)"

    def better_formats(self, declared: str) -> list[str]:
        """The formats that fit, where ``declared`` does not; the best first."""
        if self.count < MIN_BOXES:
            return []
        others = [name for name in BOX_FORMATS if name != declared
                  and self.num_within[name] >= MIN_FIT_SHARE * self.count]
        if self.num_normalized >= MIN_FIT_SHARE * self.count:
            # In pixels every such box is a point in the top left corner, and fits.
            others = [name for name in others if name.startswith(NORMALIZED_PREFIX)]
            fits = (declared.startswith(NORMALIZED_PREFIX)
                    and self.num_within[declared] > MAX_MISFIT_SHARE * self.count)
        else:
            others = [name for name in others if not name.startswith(NORMALIZED_PREFIX)]
            fits = (self.num_within[declared] > MAX_MISFIT_SHARE * self.count
                    or self.count - self.num_within[declared] < MIN_BOXES)
        if fits and (self.count - self.num_within[declared]
                     >= max(MIN_MISSES, MIN_MISS_SHARE * self.count)):
            others = [name for name in others
                      if self.num_within[name] >= STRICT_FIT_SHARE * self.count]
            fits = not others
        return [] if fits else sorted(others, key=lambda name: -self.num_within[name])


def resolve_box_format(
    splits: Sequence[ProbedSplit], requested: str | Mapping[str, str] | None, ledger: Ledger,
    read_in_place: bool = False,
) -> bool:
    """Convert all boxes to COCO's [x, y, width, height], or report that they do not fit.

    Args:
        splits: their boxes are changed in place where another format is requested, or where
            corners are exchanged.
        requested: the format that the user states, for all splits or by split; None, and a
            missing split, for the format that the split's files imply.
        ledger: receives the errors and notes.
        read_in_place: whether other code reads the file itself, in its declared format only.

    Returns:
        Whether all splits fit; if not, further checks of the boxes are meaningless.
    """
    fits = {split.raw.name: _count_fits(split) for split in splits}
    requested_by_split = {split.raw.name: _requested_format(requested, split.raw.name)
                          for split in splits}
    total = FormatFit()
    for fit in fits.values():
        total.add(fit)
    misfits: list[tuple[ProbedSplit, FormatFit, list[str]]] = []
    for split in splits:
        declared, requested_format = split.raw.box_format, requested_by_split[split.raw.name]
        fit = fits[split.raw.name]
        better = fit.better_formats(requested_format or declared)
        if not better and total.count > fit.count < MIN_BOXES:
            fit, better = total, total.better_formats(requested_format or declared)
        # Where the user states the declared format explicitly, it is used in any case.
        if better and requested_format != declared:
            misfits.append((split, fit, better))
        elif requested_format is not None and requested_format != declared:
            ledger.notes.append(
                f"{split.raw.name}: boxes are read as {_describe_format(requested_format)}, as set "
                f"in data_options: {fit.describe_share(requested_format)} lie within their images; "
                f"{fit.describe_share(declared)} as {_describe_format(declared)}")
    # Where other splits fit, or fit another format, the option is set for this split only.
    same_fix = len({tuple(better) for *_, better in misfits}) == 1 and len(misfits) == sum(
        fit.count > 0 for fit in fits.values())
    for split, fit, better in misfits:
        name, declared = split.raw.name, split.raw.box_format
        assumed = requested_by_split[name] or declared
        others = "" if same_fix or not isinstance(requested, str) else "".join(
            f"{BOX_FORMAT_OPTION}.{other}={requested} " for other in fits if other != name)
        key = BOX_FORMAT_OPTION if same_fix or len(
            splits) == 1 else f"{others}{BOX_FORMAT_OPTION}.{name}"
        ledger.add(
            "box_format",
            _misfit_message(fit, assumed, better) +
            _fix_message(key, assumed, better, declared, read_in_place), ERROR,
            file=str(split.raw.source), split=name)
    if isinstance(requested, Mapping):
        ledger.notes += [f"{BOX_FORMAT_OPTION} names a {name} split, and there is none"
                         for name in requested
                         if name not in requested_by_split and "all" not in requested_by_split]
    for split in splits if not misfits else ():
        _convert(split, requested_by_split[split.raw.name] or split.raw.box_format, ledger)
    return not misfits


def _requested_format(requested: str | Mapping[str, str] | None, split: str) -> str | None:
    return requested.get(split) if isinstance(requested, Mapping) else requested


def _misfit_message(fit: FormatFit, assumed: str, better: Sequence[str]) -> str:
    if better[0].startswith(NORMALIZED_PREFIX):
        return (f"the boxes are not in pixels: in {fit.num_normalized} of {fit.count} all numbers "
                "are from 0 to 1; "
                + ", ".join(f"{fit.describe_share(name)} fit as {_describe_format(name)}"
                            for name in BOX_FORMATS if name.startswith(NORMALIZED_PREFIX)))
    return (f"the boxes do not fit as {_describe_format(assumed)}: {fit.describe_share(assumed)} "
            "lie within their images, but "
            + ", ".join(f"{fit.describe_share(name)} as {_describe_format(name)}"
                        for name in better))


def _fix_message(key: str, assumed: str, better: Sequence[str], declared: str,
                 read_in_place: bool) -> str:
    options = " or ".join(
        f"{key if index == 0 else ''}={name}" for index, name in enumerate(better))
    keep = assumed == declared and not better[0].startswith(NORMALIZED_PREFIX)
    if read_in_place:
        return (f"; correct the file, or pass its folder as --data with --cfg-options {options}"
                + (f"; to keep the format, add --cfg-options {BOX_FORMAT_OPTION}={declared}"
                   if keep else ""))
    return f"; to use that format, add --cfg-options {options}" + (
        f", or ={declared} to keep this one and clip the boxes" if keep else "")


def _describe_format(name: str) -> str:
    if name.startswith(NORMALIZED_PREFIX):
        name = name.removeprefix(NORMALIZED_PREFIX)
        return f"{FORMAT_DESCRIPTIONS[name]} normalized by the image size"
    return FORMAT_DESCRIPTIONS[name]


def _records(split: ProbedSplit) -> list[tuple[int, Record]]:
    """The annotations of known images, each with the index of its image, except those whose box
    is from a mask."""
    return [(index, record) for index, records in split.by_image.items() for record in records
            if not record.get(PENDING_ISSUES_KEY)]


def _count_fits(split: ProbedSplit) -> FormatFit:
    parsed_boxes: list[Box] = []
    candidate_sizes: list[tuple[float, ...]] = []
    by_image = {index: _candidate_sizes(split, index) for index in split.by_image}
    for index, record in _records(split):
        box, image_sizes = parse_box(record.get("bbox")), by_image[index]
        if box is not None and not is_empty_box(box) and image_sizes is not None:
            parsed_boxes.append(box)
            candidate_sizes.append(image_sizes)
    if not parsed_boxes:
        return FormatFit()
    boxes = np.asarray(parsed_boxes, np.float64)
    if split.raw.box_format == "xyxy":
        with np.errstate(over="ignore"):
            boxes[:, 2:] += boxes[:, :2]  # the corners as in the file
    sizes = np.asarray(candidate_sizes, np.float64).reshape(len(boxes), 3, 2)
    ones = np.ones((len(boxes), 1, 2))
    fit = FormatFit(
        len(boxes),
        int(((boxes >= -FRACTION_TOLERANCE) & (boxes <= 1 + FRACTION_TOLERANCE)).all(1).sum()))
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow fits in no image
        for name in FORMAT_DESCRIPTIONS:
            fit.num_within[name] = _within(boxes, name, sizes, PIXEL_TOLERANCE)
            fit.num_within[NORMALIZED_PREFIX + name] = _within(
                boxes, name, ones, FRACTION_TOLERANCE
            )
    return fit


def _candidate_sizes(split: ProbedSplit, index: int) -> tuple[float, ...] | None:
    """Three sizes that the boxes of an image may refer to: upright, stored and annotated. None
    where none is known."""
    info, annotated_wh = split.infos[index], split.annotated_wh(index)
    known: list[tuple[float, float]]
    known = [] if info is None or info.error is not None else [info.upright_wh, info.stored_wh]
    known += [annotated_wh] if annotated_wh is not None else []
    if not known:
        return None
    return tuple(side for i in range(3) for side in known[min(i, len(known) - 1)])


def _within(
    boxes: NDArray[np.float64], name: str, sizes: NDArray[np.float64], tolerance: float
) -> int:
    """The number of boxes (N, 4) with an area that lie within one of their sizes (N, S, 2)."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if name == "xyxy":
        top_left, bottom_right = first, second
    elif name == "xywh":
        top_left, bottom_right = first, first + second
    else:
        top_left, bottom_right = first - second / 2, first + second / 2
    valid = (bottom_right > top_left).all(1) & (top_left >= -tolerance).all(1)
    inside = bottom_right[:, None] <= sizes + tolerance
    return int((valid & (inside[..., 0] & inside[..., 1]).any(1)).sum())


def _convert(split: ProbedSplit, name: str, ledger: Ledger) -> None:
    """Convert boxes to xywh in pixels of the image size that the annotations refer to."""
    declared = split.raw.box_format
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
                record, "corners_exchanged", f"the corners ({left}, {top}) and ({left + width}, "
                f"{top + height}) are not top left and bottom right; the box is {ordered}",
                "reordered")
            record["bbox"] = ordered
    if name.startswith(NORMALIZED_PREFIX):
        _correct_sizes(split, frame_sizes, ledger)


def _correct_sizes(
    split: ProbedSplit, frame_sizes: Mapping[int, tuple[float, float]], ledger: Ledger
) -> None:
    """Set the annotated sizes to those of the files: normalized boxes do not depend on them."""
    changed = 0
    for index, (width, height) in frame_sizes.items():
        if split.annotated_wh(index) not in (None, (width, height)):
            split.images[index].update(width=width, height=height)
            changed += 1
    if changed:
        ledger.notes.append(f"{split.raw.name}: the annotated size of {changed} images differs "
                            "from the file's; normalized boxes do not depend on it")


def _as_xywh(box: Box, declared: str, name: str, size_wh: tuple[float, float]) -> Box:
    """The numbers of a box, parsed as xywh of the declared format, interpreted as format ``name``
    and converted to xywh in pixels."""
    a, b, c, d = box
    if declared == "xyxy":
        c, d = a + c, b + d
    if name.startswith(NORMALIZED_PREFIX):
        a, b, c, d = a * size_wh[0], b * size_wh[1], c * size_wh[0], d * size_wh[1]
    name = name.removeprefix(NORMALIZED_PREFIX)
    if name == "xyxy":
        return a, b, c - a, d - b
    if name == "cxcywh":
        return a - c / 2, b - d / 2, c, d
    return a, b, c, d
