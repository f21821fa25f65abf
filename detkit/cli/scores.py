"""The scores of a test on stdout and in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.errors import DetkitError
from detkit.text import printable

if TYPE_CHECKING:
    from detkit.engine.results import TestResult


def print_scores(result: TestResult) -> None:
    """Print what was measured to stdout, as tables where it is a detector's or a classifier's."""
    if result.scores is None:
        for name, value in result.metrics.items():
            print(f"{name} {value:.4f}")
        return
    from detkit.evaluation.classification.classification_scores import ClassificationScores

    if isinstance(result.scores, ClassificationScores):
        from detkit.evaluation.classification.classification_table import (
            class_scores_table,
            per_class_table,
        )

        print(printable(class_scores_table(result.scores), keep="\n"))
        print()
        print(printable(per_class_table(result.scores), keep="\n"))
        return
    from detkit.evaluation.detection.coco_table import classes_table, scores_table

    print(scores_table(result.scores))
    print()
    print(printable(classes_table(result.scores), keep="\n"))


def ensure_outputs_absent(out: Path, config: str, options: dict[str, Any]) -> None:
    """Refuse to write scores over a file; before the work, which can take minutes.

    Args:
        out: where the json is to go; a classifier's confusion matrix goes beside it.
        config, options: what is tested.

    Raises:
        DetkitError: one of the two files is there, or both would be the same.
    """
    if out.exists():
        raise DetkitError(f"{out} is there already", hint="name another file with --out")
    image_path = confusion_matrix_path(out)
    if image_path != out and not image_path.exists():
        return
    from detkit.config.load_config import load_config
    from detkit.config.task import is_classifier

    if not is_classifier(load_config(config, options)):
        return
    if image_path == out:
        raise DetkitError(f"--out {out}: the confusion matrix would have the name of the scores",
                          expected=f"a json, as {out.with_suffix('.json')}")
    raise DetkitError(f"{image_path}, the confusion matrix's place, is there already",
                      hint="name another file with --out")


def confusion_matrix_path(out: Path) -> Path:
    """Where the confusion matrix goes whose scores go to ``out``."""
    return out.with_suffix(".png")


def write_scores(result: TestResult, path: Path) -> None:
    """Write the scores as json, and the confusion matrix of a classifier as a picture beside it."""
    content: Any = result.metrics if result.scores is None else result.scores.as_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if result.scores is None:
        return
    from detkit.evaluation.classification.classification_scores import ClassificationScores

    if isinstance(result.scores, ClassificationScores):
        from detkit.evaluation.classification.confusion_matrix_plot import plot_confusion_matrix

        image_path = confusion_matrix_path(path)
        plot_confusion_matrix(result.scores, image_path)
        print(f"\nconfusion matrix: {image_path}")
