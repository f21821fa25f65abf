"""How good a classifier is, all from its confusion matrix and its top-k hits."""

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
    """One class of `ClassificationScores`.

    Args:
        name: of the class.
        precision: share of the pictures predicted as this class that are of it; nan where none
            is predicted so.
        recall: share of the pictures of this class that are predicted so; nan where there is none.
        f1: 2 TP / (2 TP + FP + FN), the harmonic mean of both; nan where there is no picture of
            this class and none is predicted so, 0 where only one of the two holds.
        support: pictures of this class.
        predicted: pictures predicted as this class.
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

    The means over the classes, ``precision``, ``recall`` and ``f1``, are over those that have a
    picture or are predicted; a quotient by zero counts as 0 in them, as in scikit-learn's
    ``average='macro'``: a class that is never predicted costs. ``balanced_accuracy`` is over the
    classes that have pictures.

    Args:
        classes: K names.
        confusion: (K, K) int64; row: the true class, column: the predicted one.
        top: for each k, the share of pictures whose class is among the k highest scores.

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
        """How many pictures were measured."""
        return int(self.confusion.sum())

    @cached_property
    def per_class(self) -> tuple[PerClassMetrics, ...]:
        """The scores of each class, in the order of the classes."""
        correct = self.confusion.diagonal()
        support, predicted = self.confusion.sum(1), self.confusion.sum(0)
        return tuple(
            PerClassMetrics(name, _ratio(num_correct, num_predicted), _ratio(
                num_correct, num_labels), _ratio(2 * num_correct, num_predicted +
                                                 num_labels), num_labels, num_predicted)
            for name, num_correct, num_labels, num_predicted in zip(
                self.classes, correct.tolist(), support.tolist(), predicted.tolist()))

    @property
    def precision(self) -> float:
        """Mean of the classes' precisions, 0 where a class is never predicted."""
        return self._macro_mean([row.precision for row in self.per_class])

    @property
    def recall(self) -> float:
        """Mean of the classes' recalls, 0 where a class is predicted and has no picture."""
        return self._macro_mean([row.recall for row in self.per_class])

    @property
    def f1(self) -> float:
        """Mean of the classes' F1."""
        return self._macro_mean([row.f1 for row in self.per_class])

    @property
    def balanced_accuracy(self) -> float:
        """Accuracy in which each class that has pictures counts alike: the mean recall."""
        return _mean([row.recall for row in self.per_class if row.support])

    def _macro_mean(self, values: Sequence[float]) -> float:
        """The mean over the classes that occur, in the truth or in the predictions."""
        return _mean([0.0 if math.isnan(value) else value
                      for value, row in zip(values, self.per_class) if row.support + row.predicted])

    @property
    def stats(self) -> dict[str, float]:
        """Every number for the whole set by its name: top1, top5, precision, and so on."""
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
                row.name: {"precision": nan_to_none(row.precision), "recall": nan_to_none(row.recall),
                           "f1": nan_to_none(row.f1), "support": row.support,
                           "predicted": row.predicted}
                for row in self.per_class
            },
            "confusion": {"rows": "truth", "columns": "predicted",
                          "counts": self.confusion.tolist()},
        }


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else math.nan


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
