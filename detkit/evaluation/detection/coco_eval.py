"""COCO box evaluation by pycocotools, safe from its traps."""

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
from detkit.evaluation.detection.coco_stats import STATS, BoxScores
from detkit.evaluation.detection.convention_hints import convention_hints
from detkit.evaluation.detection.ground_truth import Truth, read_truth
from detkit.text import near_name

__all__ = ["BoxScores", "evaluate_boxes"]
_NONE = np.full((1, 1), -1.0)


def evaluate_boxes(
    truth: str | Path | Mapping[str, Any] | Truth,
    results: str | Path | Sequence[Mapping[str, Any]],
    classes: Sequence[str] | None = None,
    name: str = "results",
    hints: bool = False,
) -> BoxScores:
    """The twelve COCO numbers of ``results``, equal to pycocotools' to the last bit.

    Args:
        truth: a COCO annotation file, what it holds, or what ``read_truth`` made of it.
        results: a COCO results file or the array in it: image_id, category_id, bbox (x, y, width,
            height, pixels), score. May be empty: then every number is 0.
        classes: names of the categories to measure; all of them when None. Truths and results of
            other categories are left out.
        name: how messages call results that do not come from a file.
        hints: whether to look for what is shifted or in another convention in the results.

    Returns:
        The scores. They differ from what pycocotools says only where it is wrong: a match with
        annotation id 0 counts, and what cannot be measured is nan instead of -1.

    Raises:
        DataError: a file is not what it should be, an id of the results is not in the truth, a
            box or score is unusable, or a name in ``classes`` is no category.

    Source: pycocotools' COCOeval with iouType 'bbox' and its default parameters; difficult
    objects, which COCO's files do not know, as in Pascal VOC's development kit.
    """
    held = truth if isinstance(truth, Truth) else read_truth(truth)
    detections = read_results(results, held, name)
    measured = category_positions(held, classes) if classes is not None else None
    if measured is not None:
        kept = set(measured)
        detections = [item for item in detections if item["category_id"] in kept]
    places = sorted(measured if measured is not None else held.categories.values())
    truths = [item for item in held.annotations if measured is None or item["category_id"] in kept]
    counted = Counter(item["category_id"] for item in truths if not item["iscrowd"])
    # Categories without truths count in no mean; each would take 500 kB of pycocotools' arrays.
    held_here = sorted({item["category_id"] for item in truths}) or places[:1]
    stats, precision = _run(held, held_here, truths, detections)
    row = {place: at for at, place in enumerate(held_here)}
    per_class = {held.class_names[place]: precision[:, :, row[place]] if place in row else _NONE
                 for place in places}
    notes = held.notes if truths else (*held.notes, "the truth holds no boxes: nothing to measure")
    return BoxScores(
        **{key: _or_nan(value) for key, value in zip(STATS, stats)},
        per_class={name: _mean(found) for name, found in per_class.items()},
        per_class_50={name: _mean(found[:1]) for name, found in per_class.items()},
        per_class_truths={held.class_names[place]: counted[place] for place in places},
        images=len(held.images),
        truths=len(truths),
        crowds=sum(item["iscrowd"] for item in truths),
        detections=len(detections),
        notes=notes,
        hints=tuple(convention_hints(held, detections)) if hints else (),
    )


def category_positions(truth: Truth, classes: Sequence[str]) -> list[int]:
    """The position in ``truth`` of the category that bears each name, in the order of ``classes``.

    Raises:
        DataError: no category has the name, or a name stands twice in ``classes``.
    """
    by_name = {name: place for place, name in enumerate(truth.class_names)}
    for name in classes:
        if name not in by_name:
            near = near_name(name, by_name)
            raise DataError(
                f"{truth.name}: there is no category '{name}'",
                expected=f"one of {', '.join(by_name)}" if len(by_name) <= 20
                else f"one of its {len(by_name)} categories",
                do=f"did you mean '{near}'?" if near else None,
            )
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise DataError(f"the class '{twice[0]}' is named twice, one category cannot be both")
    return [by_name[name] for name in classes]


def _run(
    truth: Truth, places: list[int], truths: list[dict[str, Any]], detections: list[dict[str, Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """pycocotools' twelve numbers, and its precision at every size and 100 detections.

    Returns:
        (12,) float64; and (10 IoUs, 101 recalls, K) float64, -1 where a class has no truths.
    """
    from pycocotools.coco import COCO

    from detkit.evaluation.detection.difficult_eval import DifficultEval

    # Copies: COCOeval writes its ignore flags into the annotations.
    shared = {"images": [{"id": place} for place in truth.images.values()],
              "categories": [{"id": place} for place in places]}
    with contextlib.redirect_stdout(io.StringIO()):
        # Not by loadRes: it refuses an empty list and draws a polygon for every box.
        sides = []
        for boxes in (truths, detections):
            side = COCO()
            side.dataset = {**shared, "annotations": [dict(box) for box in boxes]}
            side.createIndex()
            sides.append(side)
        evaluation = DifficultEval(*sides, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, evaluation.eval["precision"][:, :, :, 0, -1]


def _or_nan(value: float) -> float:
    return float(value) if value > -1 else float("nan")


def _mean(precision: NDArray[np.float64]) -> float:
    """The mean of precisions; nan where the class has no truths, which pycocotools marks by -1."""
    there = precision[precision > -1]
    return float(np.mean(there)) if there.size else float("nan")
