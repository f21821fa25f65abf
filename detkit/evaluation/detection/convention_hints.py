"""Finds shifted ids and other conventions in results that hardly match the ground truth."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.detection.ground_truth import CocoGroundTruth

Boxes = NDArray[np.float64]
BoxConverter = Callable[[Boxes, float, float], Boxes]

# Minimum recall of the boxes in another format, and its minimum gain over the expected format.
MIN_RECALL, MIN_GAIN, MIN_RATIO = 0.3, 0.25, 2.0
# Minimum fraction of the matches that agree on a shift or an exchange of classes.
MIN_AGREEMENT = 0.75
# Classes are examined with at least so many matches and at most this fraction of correct ones.
MIN_MATCHES, MAX_CORRECT = 5, 0.4
IOU_THRESHOLD = 0.5
MAX_IMAGES = 400  # a sample spread over the dataset

# Conversions of box formats to left, top, width, height in pixels of a W x H image.
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
    """Sentences on probable errors of convention in the results.

    First the boxes are compared without their classes, in each common format; then the classes of
    matching boxes are compared.

    Args:
        ground_truth: the annotations.
        detections: the output of ``read_results``. May be empty.
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
        guess = ("percentages" if 0 <= scores.min() and 1 < scores.max() <= 100
                 else "values that are not probabilities")
        return [f"scores range from {scores.min():g} to {scores.max():g}: they look like {guess}; "
                "only their order counts here"]
    if len(scores) > 1 and scores.min() == scores.max():
        return [f"all scores are {scores[0]:g}: the order of the results is undefined"]
    return []


class _BoxesByImage:
    """Ground truth and results of at most `MAX_IMAGES` images that have ground truth."""

    def __init__(self, ground_truth: CocoGroundTruth,
                 detections: Sequence[Mapping[str, Any]]) -> None:
        self.ground_truths = _by_image(item for item in ground_truth.annotations
                                       if not item["iscrowd"])
        images = sorted(self.ground_truths)
        self.images = images[::max(1, len(images) // MAX_IMAGES)]
        self.results = _by_image(detections)
        self.sizes = ground_truth.sizes

    def recall(self, convert: BoxConverter | None = None, shift: int = 0) -> float:
        """The fraction of ground-truth boxes matched by a result of any class.

        Args:
            convert: conversion of the results' boxes; None for xywh.
            shift: compare each image with the results of the image ``shift`` indices before it.
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
    """(N, M) IoU of N and M boxes xywh; 0 for boxes without an area."""
    with np.errstate(over="ignore", invalid="ignore"):  # huge values match nothing
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
    recalls = {f"the boxes look like {name} instead of x, y, width, height in pixels":
               by_image.recall(convert) for name, convert in formats.items()}
    for shift in (1, -1):
        recalls[f"the image ids look shifted: add {-shift:+d} to each image_id of the results"] = \
            by_image.recall(shift=-shift)
    message, recall = max(recalls.items(), key=lambda item: item[1])
    if recall < max(MIN_RECALL, baseline + MIN_GAIN, baseline * MIN_RATIO):
        return _out_of_image_hints(ground_truth, detections) if baseline < MIN_RECALL else []
    return [f"{message} (recall would be {recall:.0%}, it is {baseline:.0%})"]


def _out_of_image_hints(ground_truth: CocoGroundTruth,
                        detections: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence if most boxes extend beyond their image."""
    sized = [(item["bbox"], ground_truth.sizes[item["image_id"]]) for item in detections
             if item["image_id"] in ground_truth.sizes]
    beyond = sum(box[0] + box[2] > 1.1 * width or box[1] + box[3] > 1.1 * height
                 for box, (width, height) in sized)
    if not sized or beyond < len(sized) / 2:
        return []
    return [f"{beyond} of {len(sized)} results extend beyond their image: they look like pixels "
            "of the image at another size"]


def _class_hints(ground_truth: CocoGroundTruth,
                 detections: Sequence[Mapping[str, Any]]) -> list[str]:
    by_image = _BoxesByImage(ground_truth, detections)
    pairs: Counter[tuple[int, int]] = Counter()
    for image in by_image.images:
        labels, ground_truths = by_image.ground_truths[image]
        if image not in by_image.results:
            continue
        predicted_labels, boxes = by_image.results[image]
        iou = pairwise_iou(ground_truths, boxes)
        # The class of the best match of each ground-truth box; the correct one if it matches.
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
    names = ground_truth.class_names
    ids = {index: key for key, index in ground_truth.categories.items()}
    gt_classes = {item["category_id"] for item in ground_truth.annotations}
    predicted_classes = {item["category_id"] for item in detections}
    suffix = ""
    if unmatched_classes := sorted(predicted_classes - gt_classes):
        examples = ", ".join(repr(names[predicted]) for predicted in unmatched_classes[:5])
        suffix = f"; results have the class {examples}, the ground truth does not"
    share = f"{num_correct} of {matched} results that match a box have its class"
    numbers = [(ids[predicted_label], ids[label], count)
               for (predicted_label, label), count in pairs.items()]
    if all(isinstance(predicted, int) and isinstance(target, int)
           for predicted, target, _ in numbers):
        offsets: Counter[int] = Counter()
        for predicted, target, count in numbers:
            offsets[int(target) - int(predicted)] += count
        offset, count = offsets.most_common(1)[0]
        if offset and count >= MIN_AGREEMENT * matched and len(predicted_classes) > 1:
            return [
                f"the category ids look shifted: {share}, {count} would with {offset:+d} added to "
                f"each category_id{suffix}"
            ]
    if len(predicted_classes) == 1:
        (only,) = predicted_classes
        return [f"all results are of the class '{names[only]}': {share}{suffix}"]
    best_match = {}
    for predicted_label in {predicted for predicted, _ in pairs}:
        best_match[predicted_label] = max(
            (count, label) for (predicted, label), count in pairs.items()
            if predicted == predicted_label)
    if sum(count for count, _ in best_match.values()) >= MIN_AGREEMENT * matched:
        examples = ", ".join(f"'{names[predicted]}' match '{names[label]}'"
                             for predicted, (_, label) in sorted(best_match.items())[:4]
                             if predicted != label)
        return [f"the classes look exchanged: {share}; results of {examples}{suffix}"]
    return [f"the classes do not match: {share}{suffix}"]
