"""A classifier's scores as plain-text tables for stdout, at most 80 columns wide.

For the ``ClassificationScores`` that ``ClassificationMetric.scores`` gives.
"""

from __future__ import annotations

from detkit.evaluation.classification.classification_scores import ClassificationScores
from detkit.evaluation.score_values import format_score, pluralize
from detkit.tables import format_table

METRIC_DESCRIPTIONS = {
    "top1": "images whose class has the highest score",
    "precision": "mean over classes: correct of those predicted as it",
    "recall": "mean over classes: correct of those of the class",
    "f1": "mean over classes: harmonic mean of both",
    "balanced_accuracy": "mean recall of the classes that have images",
}


def class_scores_table(scores: ClassificationScores) -> str:
    """The scores over all classes to four decimal places, each with its definition.

    '-' stands where there is nothing to measure.
    """
    summary = (f"{pluralize(scores.images, 'image')}, "
               f"{pluralize(len(scores.classes), 'class', 'classes')}")
    rows = [(name.replace("_", " "), format_score(value), _describe_metric(name))
            for name, value in scores.stats.items()]
    return f"{summary}\n\n{format_table(rows, 'lrl')}"


def per_class_table(scores: ClassificationScores) -> str:
    """Precision, recall and F1 of each class, in the order of the classes.

    'images' counts those of the class, 'predicted' those predicted as it. '-' stands where there
    is nothing to measure.
    """
    rows = [("class", "precision", "recall", "f1", "images", "predicted")]
    rows += [(item.name, format_score(item.precision), format_score(item.recall),
              format_score(item.f1), str(item.support), str(item.predicted))
             for item in scores.per_class]
    return format_table(rows, "lrrrrr")


def _describe_metric(name: str) -> str:
    return METRIC_DESCRIPTIONS.get(name, f"images whose class is among the {name[3:]} highest")
