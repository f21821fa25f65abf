"""COCO box scores as plain-text tables for stdout, at most 80 columns wide.

For the ``CocoStats`` that ``evaluate_boxes`` and ``CocoBBoxMetric.scores`` give.
"""

from __future__ import annotations

from detkit.evaluation.detection.coco_stats import STATS, CocoStats
from detkit.evaluation.score_values import format_score, pluralize
from detkit.tables import format_table

# COCO's definition of each number: measure, IoU range, object sizes, and the maximum number of
# detections per class and image.
STAT_DESCRIPTIONS = {
    "AP": ("precision", "0.50:0.95", "all", 100),
    "AP50": ("precision", "0.50", "all", 100),
    "AP75": ("precision", "0.75", "all", 100),
    "APs": ("precision", "0.50:0.95", "small, under 32 x 32 px", 100),
    "APm": ("precision", "0.50:0.95", "medium, to 96 x 96 px", 100),
    "APl": ("precision", "0.50:0.95", "large, over 96 x 96 px", 100),
    "AR1": ("recall", "0.50:0.95", "all", 1),
    "AR10": ("recall", "0.50:0.95", "all", 10),
    "AR100": ("recall", "0.50:0.95", "all", 100),
    "ARs": ("recall", "0.50:0.95", "small, under 32 x 32 px", 100),
    "ARm": ("recall", "0.50:0.95", "medium, to 96 x 96 px", 100),
    "ARl": ("recall", "0.50:0.95", "large, over 96 x 96 px", 100),
}


def scores_table(scores: CocoStats) -> str:
    """The twelve COCO numbers to four decimal places, each with its definition.

    '-' stands where there is nothing to measure.
    """
    crowds = f" ({scores.crowds} of them crowds)" if scores.crowds else ""
    summary = (f"{pluralize(scores.images, 'image')}, "
               f"{pluralize(scores.ground_truths, 'ground-truth box', 'ground-truth boxes')}"
               f"{crowds}, {pluralize(scores.detections, 'detection')}")
    rows = [("", "", "mean of", "IoU", "objects", "detections")]
    for name, value in zip(STATS, scores.stats):
        measure, iou, objects, max_detections = STAT_DESCRIPTIONS[name]
        rows.append((name, format_score(value), measure, iou, objects, str(max_detections)))
    return f"{summary}\n\n{format_table(rows, 'lrlllr')}"


def classes_table(scores: CocoStats) -> str:
    """AP and AP50 of each class, in the order of category ids.

    '-' stands for a class without ground truth.
    """
    rows = [("class", "AP", "AP50", "ground truth")]
    rows += [(item.name, format_score(item.AP), format_score(item.AP50), str(item.ground_truths))
             for item in scores.per_class]
    return format_table(rows, "lrrr")
