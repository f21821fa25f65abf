"""What looks shifted, or written in another convention, where results hardly meet the truth."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.detection.ground_truth import CocoGroundTruth

Boxes = NDArray[np.float64]
BoxConverter = Callable[[Boxes, float, float], Boxes]

# A share of truths that another reading meets, and by how much it must be better than the usual.
MIN_RECALL, MIN_GAIN, MIN_RATIO = 0.3, 0.25, 2.0
# Of the matches, the share that must agree on a shift or an exchange of classes.
MIN_AGREEMENT = 0.75
# Fewer matches say nothing of the classes, nor does a larger share of them with the right one.
MIN_MATCHES, MAX_CORRECT = 5, 0.4
IOU_THRESHOLD = 0.5
MAX_IMAGES = 400  # spread over the set; enough to see what is true of all of it

# What four numbers may mean; each gives left, top, width, height in pixels of a W x H image.
BOX_FORMATS: Mapping[str, BoxConverter] = {
    "the corners x1, y1, x2, y2":
        lambda b, w, h: np.column_stack([b[:, :2], b[:, 2:] - b[:, :2]]),
    "center and size":
        lambda b, w, h: np.column_stack([b[:, :2] - b[:, 2:] / 2, b[:, 2:]]),
    "y, x, height, width": lambda b, w, h: b[:, [1, 0, 3, 2]],
    "the corners y1, x1, y2, x2":
        lambda b, w, h: np.column_stack([b[:, [1, 0]], b[:, [3, 2]] - b[:, [1, 0]]]),
}
NORMALIZED_BOX_FORMATS: Mapping[str, BoxConverter] = {
    "fractions of the image's width and height": lambda b, w, h: b * [w, h, w, h],
    "fractions of the image's width and height, as center and size":
        lambda b, w, h: BOX_FORMATS["center and size"](b * [w, h, w, h], w, h),
    "fractions of the image's width and height, as corners":
        lambda b, w, h: BOX_FORMATS["the corners x1, y1, x2, y2"](b * [w, h, w, h], w, h),
}


def find_convention_hints(ground_truth: CocoGroundTruth,
                          detections: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences on what seems to be wrong with the results; none when nothing does.

    Boxes are compared without their classes first, and read in each usual convention; then the
    classes of results and truths that lie on each other are.

    Args:
        ground_truth: the annotations.
        detections: what ``read_results`` gives for them. May be empty.
    """
    if not ground_truth.annotations or not detections:
        return []
    return [
        *_score_hints(detections),
        *(_box_hints(ground_truth, detections) or _class_hints(ground_truth, detections))
    ]


def _score_hints(detections: Sequence[Mapping[str, Any]]) -> list[str]:
    scores = np.array([item["score"] for item in detections])
    if scores.min() < 0 or scores.max() > 1:
        guess = "percent" if 0 <= scores.min() and 1 < scores.max() <= 100 else "no probabilities"
        return [f"scores go from {scores.min():g} to {scores.max():g}: they look like {guess}; "
                "only their order counts here"]
    if len(scores) > 1 and scores.min() == scores.max():
        return [f"all scores are {scores[0]:g}: nothing says which results count first"]
    return []


class _BoxesByImage:
    """The boxes of truths and results by image, of at most `MAX_IMAGES` images with truths."""

    def __init__(self, ground_truth: CocoGroundTruth, detections: Sequence[Mapping[str,
                                                                                   Any]]) -> None:
        self.ground_truths = _by_image(item for item in ground_truth.annotations
                                       if not item["iscrowd"])
        images = sorted(self.ground_truths)
        self.images = images[::max(1, len(images) // MAX_IMAGES)]
        self.results = _by_image(detections)
        self.sizes = ground_truth.sizes

    def recall(self, convert: BoxConverter | None = None, shift: int = 0) -> float:
        """The share of truths that a result lies on, whatever the classes.

        Args:
            convert: how the results' boxes are read; None for xywh.
            shift: results of the image so many places before are laid on each image's truths.
        """
        matched = total = 0
        for image in self.images:
            ground_truths = self.ground_truths[image][1]
            total += len(ground_truths)
            results = self.results.get(image - shift)
            if results is None:
                continue
            boxes = results[1]
            if convert is not None:
                boxes = convert(boxes, *self.sizes.get(image, (1.0, 1.0)))
            matched += int((pairwise_iou(ground_truths, boxes).max(axis=1) >= IOU_THRESHOLD).sum())
        return matched / max(1, total)


def _by_image(items: Any) -> dict[int, tuple[NDArray[np.int64], Boxes]]:
    grouped: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for item in items:
        grouped[item["image_id"]].append(item)
    return {image: (np.array([item["category_id"] for item in boxes]),
                    np.array([item["bbox"] for item in boxes], float))
            for image, boxes in grouped.items()}


def pairwise_iou(first: Boxes, second: Boxes) -> Boxes:
    """IoU of each of N boxes with each of M, (N, M); 0 for boxes without an area. xywh."""
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near a float's end meet nothing
        low = np.maximum(first[:, None, :2], second[None, :, :2])
        high = np.minimum(first[:, None, :2] + first[:, None, 2:],
                          second[None, :, :2] + second[None, :, 2:])
        intersection = np.clip(high - low, 0, None).prod(axis=2)
        usable: NDArray[np.bool_] = np.minimum(second[:, 2], second[:, 3]) > 0
        areas = first[:, 2:].prod(axis=1)[:, None] + second[:, 2:].prod(axis=1)[None]
        iou: Boxes = np.where(usable[None], intersection / np.maximum(areas - intersection, 1e-9),
                              0.0)
    return iou


def _box_hints(ground_truth: CocoGroundTruth, detections: Sequence[Mapping[str, Any]]) -> list[str]:
    by_image = _BoxesByImage(ground_truth, detections)
    if not by_image.images:
        return []
    baseline = by_image.recall()
    if baseline > 1 - MIN_GAIN:
        return []
    formats = dict(BOX_FORMATS)
    largest = max(max(item["bbox"]) for item in detections)
    if largest <= 2 and ground_truth.sizes:
        formats = {**NORMALIZED_BOX_FORMATS}
    shares = {f"the boxes look like {name}, where x, y, width, height in pixels are meant":
              by_image.recall(convert) for name, convert in formats.items()}
    for shift in (1, -1):
        shares[f"the image ids look shifted: {-shift:+d} on each result's image_id"] = \
            by_image.recall(shift=-shift)
    message, share = max(shares.items(), key=lambda item: item[1])
    if share < max(MIN_RECALL, baseline + MIN_GAIN, baseline * MIN_RATIO):
        return _out_of_image_hints(ground_truth, detections) if baseline < MIN_RECALL else []
    return [
        f"{message} (read so, results lie on {share:.0%} of the truths, else on {baseline:.0%})"
    ]


def _out_of_image_hints(ground_truth: CocoGroundTruth,
                        detections: Sequence[Mapping[str, Any]]) -> list[str]:
    """Results of images that were measured at another size."""
    sized = [(item["bbox"], ground_truth.sizes[item["image_id"]]) for item in detections
             if item["image_id"] in ground_truth.sizes]
    beyond = sum(box[0] + box[2] > 1.1 * width or box[1] + box[3] > 1.1 * height
                 for box, (width, height) in sized)
    if not sized or beyond < len(sized) / 2:
        return []
    return [f"{beyond} of {len(sized)} results reach beyond their image: they look like pixels of "
            "another size of it"]


def _class_hints(ground_truth: CocoGroundTruth, detections: Sequence[Mapping[str,
                                                                             Any]]) -> list[str]:
    by_image = _BoxesByImage(ground_truth, detections)
    pairs: Counter[tuple[int, int]] = Counter()
    for image in by_image.images:
        labels, ground_truths = by_image.ground_truths[image]
        if image not in by_image.results:
            continue
        predicted_labels, boxes = by_image.results[image]
        iou = pairwise_iou(ground_truths, boxes)
        # For each truth the class of the result that lies on it best; its own where that does.
        for label, row in zip(labels.tolist(), iou):
            overlapping = set(predicted_labels[row >= IOU_THRESHOLD].tolist())
            if overlapping:
                best = label if label in overlapping else int(predicted_labels[int(row.argmax())])
                pairs[best, label] += 1
    matched = sum(pairs.values())
    num_correct = sum(count for (predicted_label, label), count in pairs.items()
                      if predicted_label == label)
    if matched < MIN_MATCHES or num_correct > MAX_CORRECT * matched:
        return []
    names, ids = ground_truth.class_names, {
        index: key
        for key, index in ground_truth.categories.items()
    }
    gt_classes = {item["category_id"] for item in ground_truth.annotations}
    predicted_classes = {item["category_id"] for item in detections}
    suffix = ""
    if unmatched_classes := sorted(predicted_classes - gt_classes):
        examples = ", ".join(repr(names[predicted]) for predicted in unmatched_classes[:5])
        suffix = f"; no truth has the class {examples}, which results have"
    share = f"of {matched} results that lie on a truth {num_correct} have its class"
    numbers = [(ids[predicted_label], ids[label], count)
               for (predicted_label, label), count in pairs.items()]
    if all(
            isinstance(predicted, int) and isinstance(target, int)
            for predicted, target, _ in numbers):
        offsets: Counter[int] = Counter()
        for predicted, target, count in numbers:
            offsets[int(target) - int(predicted)] += count
        offset, count = offsets.most_common(1)[0]
        if offset and count >= MIN_AGREEMENT * matched and len(predicted_classes) > 1:
            return [
                f"the category ids look shifted: {share}, and {count} would with {offset:+d} on "
                f"each category_id{suffix}"
            ]
    if len(predicted_classes) == 1:
        (only,) = predicted_classes
        return [f"all results are of the class '{names[only]}': {share}{suffix}"]
    best_match = {}
    for predicted_label in {predicted for predicted, _ in pairs}:
        best_match[predicted_label] = max(((count, label)
                                           for (predicted, label), count in pairs.items()
                                           if predicted == predicted_label))
    if sum(count for count, _ in best_match.values()) >= MIN_AGREEMENT * matched:
        examples = ", ".join(f"'{names[predicted]}' on '{names[label]}'"
                             for predicted, (_, label) in sorted(best_match.items())[:4]
                             if predicted != label)
        return [f"the classes look exchanged: {share}; results of {examples} lie{suffix}"]
    return [f"the classes do not fit: {share}{suffix}"]
