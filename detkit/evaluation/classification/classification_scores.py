"""Scores of a classifier from its confusion matrix and its top-k accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.score_values import nan_to_none


@dataclass(frozen=True)
class PerClassMetrics:
    """The scores of one class of `ClassificationScores`.

    Args:
        name: name of the class.
        precision: TP / (TP + FP); nan where no image is predicted as the class.
        recall: TP / (TP + FN); nan where no image is of the class.
        f1: 2 TP / (2 TP + FP + FN), the harmonic mean of both; nan where no image is of the class
            or predicted as it.
        support: number of images of the class, TP + FN.
        predicted: number of images predicted as the class, TP + FP.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True, eq=False)
class ClassificationScores:
    """Scores of a classifier, each from 0 to 1, unrounded; nan where there is nothing to measure.

    ``precision``, ``recall`` and ``f1`` are means over the classes that have images or are
    predicted, with 0 for a quotient by zero, as scikit-learn's ``average='macro'``.
    ``balanced_accuracy`` is the mean recall of the classes that have images.

    Args:
        classes: K names.
        confusion: (K, K) int64; rows are ground-truth classes, columns predicted ones.
        top: top-k accuracy for each k.

    Raises:
        ValueError: the shape is not (K, K), or a count is negative.
    """

    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    top: Mapping[int, float]

    def __post_init__(self) -> None:
        confusion = np.array(self.confusion, dtype=np.int64)
        count = len(self.classes)
        if confusion.shape != (count, count):
            raise ValueError(f"confusion: got shape {confusion.shape}, expected ({count}, {count})")
        if (confusion < 0).any():
            raise ValueError("confusion: got a negative count")
        confusion.flags.writeable = False
        object.__setattr__(self, "confusion", confusion)
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "top", dict(self.top))

    @property
    def images(self) -> int:
        """The number of images."""
        return int(self.confusion.sum())

    @cached_property
    def per_class(self) -> tuple[PerClassMetrics, ...]:
        """The scores of each class, in the order of the classes."""
        correct = self.confusion.diagonal()
        support, predicted = self.confusion.sum(1), self.confusion.sum(0)
        return tuple(
            PerClassMetrics(name, _ratio(tp, positives), _ratio(tp, labeled),
                            _ratio(2 * tp, positives + labeled), labeled, positives)
            for name, tp, labeled, positives in zip(
                self.classes, correct.tolist(), support.tolist(), predicted.tolist()))

    @property
    def precision(self) -> float:
        """Mean precision of the classes, 0 for a class that is never predicted."""
        return self._macro_mean([row.precision for row in self.per_class])

    @property
    def recall(self) -> float:
        """Mean recall of the classes, 0 for a class that is predicted and has no images."""
        return self._macro_mean([row.recall for row in self.per_class])

    @property
    def f1(self) -> float:
        """Mean F1 of the classes."""
        return self._macro_mean([row.f1 for row in self.per_class])

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have images."""
        return _mean([row.recall for row in self.per_class if row.support])

    def _macro_mean(self, values: Sequence[float]) -> float:
        """The mean over the classes in the ground truth or in the predictions."""
        return _mean([0.0 if math.isnan(value) else value
                      for value, row in zip(values, self.per_class) if row.support + row.predicted])

    @property
    def stats(self) -> dict[str, float]:
        """Every score over all classes by name: top1, top5, precision, and so on."""
        return {
            **{f"top{k}": self.top[k] for k in sorted(self.top)},
            "precision": self.precision, "recall": self.recall, "f1": self.f1,
            "balanced_accuracy": self.balanced_accuracy,
        }

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; None where there is nothing to measure."""
        return {
            **{name: nan_to_none(value) for name, value in self.stats.items()},
            "images": self.images,
            "classes": {
                row.name: {"precision": nan_to_none(row.precision),
                           "recall": nan_to_none(row.recall), "f1": nan_to_none(row.f1),
                           "support": row.support, "predicted": row.predicted}
                for row in self.per_class
            },
            "confusion": {"rows": "truth", "columns": "predicted",
                          "counts": self.confusion.tolist()},
        }


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else math.nan


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
