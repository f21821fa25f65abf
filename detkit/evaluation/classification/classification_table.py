"""A classifier's scores as plain text for stdout, at most 80 columns wide.

A command that has ``ClassificationScores`` at hand, from ``ClassificationMetric.scores``, prints
``class_scores_table(scores)`` and, where asked, ``per_class_table(scores)``.
"""

from __future__ import annotations

import math

from detkit.evaluation.classification.classification_scores import ClassificationScores

WIDTH = 80
ROW = "{:<18}{:>7}  {}"
METRIC_DESCRIPTIONS = {
    "top1": "pictures whose class has the highest score",
    "precision": "mean over classes: right ones of those predicted so",
    "recall": "mean over classes: right ones of those there are",
    "f1": "mean over classes: harmonic mean of both",
    "balanced_accuracy": "as if all classes were equally frequent",
}


def class_scores_table(scores: ClassificationScores) -> str:
    """The numbers for the whole set, four digits each, with what they are; no final newline.

    '-' stands where there is nothing to measure.
    """
    lines = [f"{_pluralize(scores.images, 'picture', 'pictures')}, "
             f"{_pluralize(len(scores.classes), 'class', 'classes')}", ""]
    for name, value in scores.stats.items():
        lines.append(
            ROW.format(name.replace("_", " "), _format_score(value), _describe_metric(name)))
    return "\n".join(lines)


def per_class_table(scores: ClassificationScores) -> str:
    """Precision, recall and F1 of each class, in the order of the classes; no final newline.

    'pictures' are those of the class, 'predicted' those predicted as it. Names too long for the
    width are cut and end in '...'. '-' stands where there is nothing to measure.
    """
    longest = max(map(len, scores.classes), default=0)
    width = min(max(longest, len("class")), WIDTH - 51)
    row = "{:<" + str(width) + "}{:>11}{:>9}{:>9}{:>11}{:>11}"
    lines = [row.format("class", "precision", "recall", "f1", "pictures", "predicted")]
    for metrics in scores.per_class:
        name = metrics.name if len(metrics.name) <= width else metrics.name[: width - 3] + "..."
        lines.append(
            row.format(name, _format_score(metrics.precision), _format_score(metrics.recall),
                       _format_score(metrics.f1), metrics.support, metrics.predicted))
    return "\n".join(lines)


def _describe_metric(name: str) -> str:
    return METRIC_DESCRIPTIONS.get(name, f"pictures whose class is among the {name[3:]} highest")


def _format_score(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _pluralize(count: int, singular: str, plural: str) -> str:
    return f"{count} {singular if count == 1 else plural}"
