"""What a training and a test hand back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detkit.evaluation.classification.classification_scores import ClassificationScores
    from detkit.evaluation.detection.coco_stats import CocoStats


@dataclass(frozen=True)
class TestResult:
    """What a test found.

    Args:
        metrics: every number of the evaluator by name, as ``coco/bbox_mAP`` or ``cls/top1``.
        scores: of a detector the twelve COCO numbers and each class's AP, of a classifier each
            class's precision and recall and the confusion matrix; None when the config measures
            something else, and on all processes but the first.
    """

    __test__ = False

    metrics: dict[str, float] = field(default_factory=dict)
    scores: CocoStats | ClassificationScores | None = None


@dataclass(frozen=True)
class TrainResult:
    """What a training left.

    Args:
        work_dir: the folder it wrote to.
        checkpoint: ``best.pth`` with the weights of the best checkpoint, or of the last when none
            was chosen by a score; None when none was written.
        test: scores of ``checkpoint`` on the test split; None when the config has none.
        confusion_matrix: the picture of a classifier's test; None for other models.
    """

    work_dir: Path
    checkpoint: Path | None
    test: TestResult | None
    confusion_matrix: Path | None = None
