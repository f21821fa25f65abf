"""The results of a training and of a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detkit.engine.run_summary import RunSummary
    from detkit.evaluation.classification.classification_scores import ClassificationScores
    from detkit.evaluation.detection.coco_stats import CocoStats


@dataclass(frozen=True)
class TestResult:
    """The result of a test.

    Args:
        metrics: all metrics of the evaluator by name, such as ``coco/bbox_mAP`` or ``cls/top1``.
        scores: for a detector the twelve COCO metrics and the AP of each class; for a classifier
            the precision and recall of each class and the confusion matrix. None with another
            metric, and in all processes but the main one.
    """

    __test__ = False

    metrics: dict[str, float] = field(default_factory=dict)
    scores: CocoStats | ClassificationScores | None = None


@dataclass(frozen=True)
class TrainResult:
    """The result of a training.

    Args:
        work_dir: the output folder.
        checkpoint: ``best.pth`` with the weights of the best checkpoint, or of the last one if
            ``save_best`` is off; None if no checkpoint was saved.
        test: the result of ``checkpoint`` on the test split; None if the config has none.
        confusion_matrix: the plot of a classifier's confusion matrix; None for detectors.
        summary: what was trained on what, and where the run's files are.
    """

    work_dir: Path
    checkpoint: Path | None
    test: TestResult | None
    confusion_matrix: Path | None = None
    summary: RunSummary | None = None
