"""Box scores as plain text for stdout, at most 80 columns wide.

A command that has ``CocoStats`` at hand, from ``evaluate_boxes`` or from ``CocoBBoxMetric.scores``,
prints ``scores_table(scores)`` and, where asked, ``classes_table(scores)``.
"""

from __future__ import annotations

import math

from detkit.evaluation.detection.coco_stats import STATS, CocoStats

WIDTH = 80
ROW = "{:<7}{:>7}  {:<10}{:<12}{:<26}{}"
# What COCO says of each number: the mean of what, at which IoU, over which objects, and how many
# detections of each class it takes from an image.
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
    """The twelve numbers, four digits each, with what they are the mean of; no final newline.

    '-' stands where there is nothing to measure.
    """
    crowds = f" ({scores.crowds} of them crowds)" if scores.crowds else ""
    lines = [
        f"{_pluralize(scores.images, 'image')}, {_pluralize(scores.ground_truths, 'truth')}{crowds}, "
        f"{_pluralize(scores.detections, 'detection')}", "",
        ROW.format("", "", "mean of", "IoU", "objects", "detections"),
    ]
    for name, value in zip(STATS, scores.stats):
        lines.append(ROW.format(name, _format_score(value), *STAT_DESCRIPTIONS[name]).rstrip())
    return "\n".join(lines)


def classes_table(scores: CocoStats) -> str:
    """AP and AP50 of each class, in the order of category ids; no final newline.

    Names too long for the width are cut and end in '...'. '-' stands for a class without truths.
    """
    longest = max(map(len, scores.per_class), default=0)
    width = min(max(longest, len("class")), WIDTH - 27)
    row = "{:<" + str(width) + "}{:>9}{:>9}{:>9}"
    lines = [row.format("class", "AP", "AP50", "truths")]
    for name, value in scores.per_class.items():
        short_name = name if len(name) <= width else name[: width - 3] + "..."
        lines.append(
            row.format(short_name, _format_score(value), _format_score(scores.per_class_50[name]),
                       scores.per_class_ground_truths[name]))
    return "\n".join(lines)


def _format_score(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _pluralize(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
