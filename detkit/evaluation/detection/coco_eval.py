"""COCO box evaluation with pycocotools, with validated inputs."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import DataError
from detkit.evaluation.detection.coco_results import read_results
from detkit.evaluation.detection.coco_stats import STATS, CocoStats, PerClassAP
from detkit.evaluation.detection.convention_hints import find_convention_hints
from detkit.evaluation.detection.ground_truth import CocoGroundTruth, read_ground_truth
from detkit.text import name_hint

__all__ = ["CocoStats", "evaluate_boxes"]
_NO_PRECISION = np.full((1, 1), -1.0)


def evaluate_boxes(
    ground_truth: str | Path | Mapping[str, Any] | CocoGroundTruth,
    results: str | Path | Sequence[Mapping[str, Any]],
    classes: Sequence[str] | None = None,
    name: str = "results",
    hints: bool = False,
) -> CocoStats:
    """The twelve COCO numbers of ``results``, bit-identical to those of pycocotools.

    Args:
        ground_truth: a COCO annotation file, its content, or the output of ``read_ground_truth``.
        results: a COCO results file or its content: image_id, category_id, bbox (x, y, width,
            height in pixels), score. May be empty: then every number is 0. Or predict's
            detections.json, whose files and classes are matched by name.
        classes: names of the categories to evaluate; None for all. Ground truth and results of
            other categories are ignored.
        name: name in messages of results that do not come from a file.
        hints: whether to search the results for shifted ids and other conventions, and to say what
            of predict's file could not be matched.

    Returns:
        The scores. Two corrections to pycocotools: a match with annotation id 0 counts, and nan
        instead of -1 marks what cannot be measured.

    Raises:
        DataError: a file is invalid, an id of the results is not in the ground truth, a box or
            score is invalid, or a name in ``classes`` is not a category.

    Source: pycocotools' COCOeval with iouType 'bbox' and its default parameters; difficult
    objects, which COCO does not have, as in Pascal VOC's development kit.
    """
    gt = (ground_truth if isinstance(ground_truth, CocoGroundTruth)
          else read_ground_truth(ground_truth))
    notes: list[str] = []
    detections = read_results(results, gt, name, notes.append)
    selected = match_categories(gt, classes) if classes is not None else None
    if selected is not None:
        kept = set(selected)
        detections = [item for item in detections if item["category_id"] in kept]
    category_indices = sorted(selected if selected is not None else gt.categories.values())
    ground_truths = [
        item for item in gt.annotations if selected is None or item["category_id"] in kept
    ]
    counted = Counter(item["category_id"] for item in ground_truths if not item["iscrowd"])
    # Categories without ground truth are in no mean, but take 500 kB each in pycocotools.
    evaluated_indices = (sorted({item["category_id"] for item in ground_truths})
                         or category_indices[:1])
    stats, precision = _run_cocoeval(gt, evaluated_indices, ground_truths, detections)
    class_precision = {index: precision[:, :, column]
                       for column, index in enumerate(evaluated_indices)}
    per_class = []
    for index in category_indices:
        values = class_precision.get(index, _NO_PRECISION)
        per_class.append(
            PerClassAP(gt.class_names[index], _mean(values), _mean(values[:1]), counted[index]))
    no_boxes = () if ground_truths else ("the ground truth has no boxes: nothing to measure",)
    return CocoStats(
        **{key: _or_nan(value) for key, value in zip(STATS, stats)},
        per_class=tuple(per_class), images=len(gt.images), ground_truths=len(ground_truths),
        crowds=sum(item["iscrowd"] for item in ground_truths), detections=len(detections),
        notes=(*gt.notes, *no_boxes),
        hints=(*notes, *find_convention_hints(gt, detections)) if hints else (),
    )


def match_categories(ground_truth: CocoGroundTruth, classes: Sequence[str]) -> list[int]:
    """The category index in ``ground_truth`` of each of ``classes``.

    Raises:
        DataError: a name is not a category, or is in ``classes`` twice.
    """
    by_name = {name: index for index, name in enumerate(ground_truth.class_names)}
    for name in classes:
        if name not in by_name:
            raise DataError(
                f"{ground_truth.name}: no category '{name}'",
                expected=f"one of {', '.join(by_name)}" if len(by_name) <= 20
                else f"one of its {len(by_name)} categories",
                hint=name_hint(name, by_name),
            )
    duplicates = [name for name, count in Counter(classes).items() if count > 1]
    if duplicates:
        raise DataError(f"duplicate class '{duplicates[0]}'")
    return [by_name[name] for name in classes]


def _run_cocoeval(
    ground_truth: CocoGroundTruth, category_indices: list[int],
    ground_truths: list[dict[str, Any]], detections: list[dict[str, Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Run pycocotools.

    Returns:
        (12,) float64, the COCO numbers; and (10 IoUs, 101 recalls, K) float64, the precision for
        all sizes and 100 detections, -1 for a class without ground truth.
    """
    from pycocotools.coco import COCO

    from detkit.evaluation.detection.difficult_eval import DifficultCOCOeval

    # Copies: COCOeval writes its ignore flags into the annotations.
    shared = {"images": [{"id": index} for index in ground_truth.images.values()],
              "categories": [{"id": index} for index in category_indices]}
    with contextlib.redirect_stdout(io.StringIO()):
        # Not with loadRes, which fails on an empty list and makes a polygon for every box.
        coco_sets = []
        for boxes in (ground_truths, detections):
            coco_set = COCO()
            coco_set.dataset = {**shared, "annotations": [dict(box) for box in boxes]}
            coco_set.createIndex()
            coco_sets.append(coco_set)
        evaluation = DifficultCOCOeval(*coco_sets, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, evaluation.eval["precision"][:, :, :, 0, -1]


def _or_nan(value: float) -> float:
    return float(value) if value > -1 else float("nan")


def _mean(precision: NDArray[np.float64]) -> float:
    """The mean of the precisions above -1, pycocotools' mark of no ground truth; nan if none."""
    valid = precision[precision > -1]
    return float(np.mean(valid)) if valid.size else float("nan")
