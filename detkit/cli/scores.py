"""Prints and writes the scores of a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.errors import DetkitError
from detkit.text import printable

if TYPE_CHECKING:
    from detkit.engine.results import TestResult


def print_scores(result: TestResult) -> None:
    """Print the scores to stdout; tables for a detector or a classifier."""
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
    """Check that the output files do not exist, before a test that can take minutes.

    Args:
        out: the JSON file for the scores; a classifier also gets a confusion matrix next to it.
        config, options: the config under test.

    Raises:
        DetkitError: one of the two files exists, or both have the same name.
    """
    if out.exists():
        raise DetkitError(f"{out}: already exists", hint="choose another file with --out")
    image_path = confusion_matrix_path(out)
    if image_path != out and not image_path.exists():
        return
    from detkit.config.load_config import load_config
    from detkit.config.task import is_classifier

    if not is_classifier(load_config(config, options)):
        return
    if image_path == out:
        raise DetkitError(f"--out {out}: the confusion matrix is written to the same file",
                          expected=f"a JSON file such as {out.with_suffix('.json')}")
    raise DetkitError(f"{image_path}: already exists, and the confusion matrix is written to it",
                      hint="choose another file with --out")


def confusion_matrix_path(out: Path) -> Path:
    """The file of the confusion matrix for scores in ``out``."""
    return out.with_suffix(".png")


def write_scores(result: TestResult, path: Path) -> None:
    """Write the scores as JSON, and a plot of the confusion matrix of a classifier next to it."""
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
