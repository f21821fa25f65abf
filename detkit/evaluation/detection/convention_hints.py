"""What looks shifted, or written in another convention, where results hardly meet the truth."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.detection.ground_truth import Truth

Boxes = NDArray[np.float64]
Reading = Callable[[Boxes, float, float], Boxes]

# A share of truths that another reading meets, and by how much it must be better than the usual.
LEAST_SHARE, LEAST_GAIN, LEAST_TIMES = 0.3, 0.25, 2.0
# Of the matches, the share that must agree on a shift or an exchange of classes.
AGREED = 0.75
# Fewer matches say nothing of the classes, nor does a larger share of them with the right one.
LEAST_MATCHES, WRONG_BELOW = 5, 0.4
IOU = 0.5
MOST_IMAGES = 400  # spread over the set; enough to see what is true of all of it

# What four numbers may mean; each gives left, top, width, height in pixels of a W x H image.
READINGS: Mapping[str, Reading] = {
    "the corners x1, y1, x2, y2":
        lambda b, w, h: np.column_stack([b[:, :2], b[:, 2:] - b[:, :2]]),
    "center and size":
        lambda b, w, h: np.column_stack([b[:, :2] - b[:, 2:] / 2, b[:, 2:]]),
    "y, x, height, width": lambda b, w, h: b[:, [1, 0, 3, 2]],
    "the corners y1, x1, y2, x2":
        lambda b, w, h: np.column_stack([b[:, [1, 0]], b[:, [3, 2]] - b[:, [1, 0]]]),
}
FRACTIONS: Mapping[str, Reading] = {
    "fractions of the image's width and height": lambda b, w, h: b * [w, h, w, h],
    "fractions of the image's width and height, as center and size":
        lambda b, w, h: READINGS["center and size"](b * [w, h, w, h], w, h),
    "fractions of the image's width and height, as corners":
        lambda b, w, h: READINGS["the corners x1, y1, x2, y2"](b * [w, h, w, h], w, h),
}


def convention_hints(truth: Truth, detections: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences on what seems to be wrong with the results; none when nothing does.

    Boxes are compared without their classes first, and read in each usual convention; then the
    classes of results and truths that lie on each other are.

    Args:
        truth: the annotations.
        detections: what ``read_results`` gives for them. May be empty.
    """
    if not truth.annotations or not detections:
        return []
    return [*_scores(detections), *(_boxes(truth, detections) or _classes(truth, detections))]


def _scores(detections: Sequence[Mapping[str, Any]]) -> list[str]:
    scores = np.array([item["score"] for item in detections])
    if scores.min() < 0 or scores.max() > 1:
        kind = "percent" if 0 <= scores.min() and 1 < scores.max() <= 100 else "no probabilities"
        return [f"scores go from {scores.min():g} to {scores.max():g}: they look like {kind}; "
                "only their order counts here"]
    if len(scores) > 1 and scores.min() == scores.max():
        return [f"all scores are {scores[0]:g}: nothing says which results count first"]
    return []


class _Sides:
    """The boxes of truths and results by image, of at most `MOST_IMAGES` images with truths."""

    def __init__(self, truth: Truth, detections: Sequence[Mapping[str, Any]]) -> None:
        self.truths = _by_image(item for item in truth.annotations if not item["iscrowd"])
        images = sorted(self.truths)
        self.images = images[::max(1, len(images) // MOST_IMAGES)]
        self.results = _by_image(detections)
        self.sizes = truth.sizes

    def share_met(self, read: Reading | None = None, shift: int = 0) -> float:
        """The share of truths that a result lies on, whatever the classes.

        Args:
            read: how the results' boxes are read; None for xywh.
            shift: results of the image so many places before are laid on each image's truths.
        """
        met = total = 0
        for image in self.images:
            truths = self.truths[image][1]
            total += len(truths)
            results = self.results.get(image - shift)
            if results is None:
                continue
            boxes = results[1]
            if read is not None:
                boxes = read(boxes, *self.sizes.get(image, (1.0, 1.0)))
            met += int((overlaps(truths, boxes).max(axis=1) >= IOU).sum())
        return met / max(1, total)


def _by_image(items: Any) -> dict[int, tuple[NDArray[np.int64], Boxes]]:
    found: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for item in items:
        found[item["image_id"]].append(item)
    return {image: (np.array([item["category_id"] for item in boxes]),
                    np.array([item["bbox"] for item in boxes], float))
            for image, boxes in found.items()}


def overlaps(first: Boxes, second: Boxes) -> Boxes:
    """IoU of each of N boxes with each of M, (N, M); 0 for boxes without an area. xywh."""
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near a float's end meet nothing
        low = np.maximum(first[:, None, :2], second[None, :, :2])
        high = np.minimum(first[:, None, :2] + first[:, None, 2:],
                          second[None, :, :2] + second[None, :, 2:])
        common = np.clip(high - low, 0, None).prod(axis=2)
        usable: NDArray[np.bool_] = np.minimum(second[:, 2], second[:, 3]) > 0
        areas = first[:, 2:].prod(axis=1)[:, None] + second[:, 2:].prod(axis=1)[None]
        iou: Boxes = np.where(usable[None], common / np.maximum(areas - common, 1e-9), 0.0)
    return iou


def _boxes(truth: Truth, detections: Sequence[Mapping[str, Any]]) -> list[str]:
    sides = _Sides(truth, detections)
    if not sides.images:
        return []
    usual = sides.share_met()
    if usual > 1 - LEAST_GAIN:
        return []
    readings = dict(READINGS)
    largest = max(max(item["bbox"]) for item in detections)
    if largest <= 2 and truth.sizes:
        readings = {**FRACTIONS}
    shares = {f"the boxes look like {name}, where x, y, width, height in pixels are meant":
              sides.share_met(read) for name, read in readings.items()}
    for shift in (1, -1):
        shares[f"the image ids look shifted: {-shift:+d} on each result's image_id"] = \
            sides.share_met(shift=-shift)
    what, share = max(shares.items(), key=lambda item: item[1])
    if share < max(LEAST_SHARE, usual + LEAST_GAIN, usual * LEAST_TIMES):
        return _beyond(truth, detections) if usual < LEAST_SHARE else []
    return [f"{what} (read so, results lie on {share:.0%} of the truths, else on {usual:.0%})"]


def _beyond(truth: Truth, detections: Sequence[Mapping[str, Any]]) -> list[str]:
    """Results of images that were measured at another size."""
    sized = [(item["bbox"], truth.sizes[item["image_id"]]) for item in detections
             if item["image_id"] in truth.sizes]
    beyond = sum(box[0] + box[2] > 1.1 * width or box[1] + box[3] > 1.1 * height
                 for box, (width, height) in sized)
    if not sized or beyond < len(sized) / 2:
        return []
    return [f"{beyond} of {len(sized)} results reach beyond their image: they look like pixels of "
            "another size of it"]


def _classes(truth: Truth, detections: Sequence[Mapping[str, Any]]) -> list[str]:
    sides = _Sides(truth, detections)
    pairs: Counter[tuple[int, int]] = Counter()
    for image in sides.images:
        labels, truths = sides.truths[image]
        if image not in sides.results:
            continue
        given, boxes = sides.results[image]
        iou = overlaps(truths, boxes)
        # For each truth the class of the result that lies on it best; its own where that does.
        for label, row in zip(labels.tolist(), iou):
            on_it = set(given[row >= IOU].tolist())
            if on_it:
                best = label if label in on_it else int(given[int(row.argmax())])
                pairs[best, label] += 1
    matched = sum(pairs.values())
    right = sum(count for (given_as, label), count in pairs.items() if given_as == label)
    if matched < LEAST_MATCHES or right > WRONG_BELOW * matched:
        return []
    names, ids = truth.class_names, {place: key for key, place in truth.categories.items()}
    held = {item["category_id"] for item in truth.annotations}
    found = {item["category_id"] for item in detections}
    lacking = ""
    if strangers := sorted(found - held):
        some = ", ".join(repr(names[one]) for one in strangers[:5])
        lacking = f"; no truth has the class {some}, which results have"
    share = f"of {matched} results that lie on a truth {right} have its class"
    numbers = [(ids[given_as], ids[label], count) for (given_as, label), count in pairs.items()]
    if all(isinstance(one, int) and isinstance(two, int) for one, two, _ in numbers):
        steps: Counter[int] = Counter()
        for one, two, count in numbers:
            steps[int(two) - int(one)] += count
        step, count = steps.most_common(1)[0]
        if step and count >= AGREED * matched and len(found) > 1:
            return [f"the category ids look shifted: {share}, and {count} would with {step:+d} on "
                    f"each category_id{lacking}"]
    if len(found) == 1:
        (only,) = found
        return [f"all results are of the class '{names[only]}': {share}{lacking}"]
    exchange = {}
    for given_as in {one for one, _ in pairs}:
        exchange[given_as] = max(((count, label) for (one, label), count in pairs.items()
                                  if one == given_as))
    if sum(count for count, _ in exchange.values()) >= AGREED * matched:
        some = ", ".join(f"'{names[one]}' on '{names[label]}'"
                         for one, (_, label) in sorted(exchange.items())[:4] if one != label)
        return [f"the classes look exchanged: {share}; results of {some} lie{lacking}"]
    return [f"the classes do not fit: {share}{lacking}"]
