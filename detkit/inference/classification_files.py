"""Classifications of a list of image files, as json, csv and a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detkit.inference.files_report import (
    FilesReport,
    format_counts,
    report_document,
    report_table,
    write_document,
)
from detkit.inference.output_folder import atomic_write_text
from detkit.structures.classifications import Classifications

JSON_NAME = "predictions.json"
CSV_NAME = "predictions.csv"
UNSURE = "unsure"


def write_predictions(
    report: FilesReport[Classifications], out: Path, classes: Sequence[str], top_k: int,
    threshold: float = 0.0,
) -> None:
    """Write ``out``/predictions.json (top k) and ``out``/predictions.csv (all classes).

    The json is a `report_document` with ``sure`` (whether the highest probability reaches the
    threshold) and ``top`` (the k classes of the highest probabilities) for each image.
    """
    header = {"classes": list(classes), "threshold": threshold}
    document = report_document(report, header, lambda scores: {
        "sure": is_confident(scores, threshold), "top": as_records(scores, classes, top_k)})
    write_document(document, out / JSON_NAME)
    atomic_write_text(out / CSV_NAME, as_csv(report, classes))


def as_records(scores: Classifications, classes: Sequence[str], top_k: int) -> list[dict[str, Any]]:
    """The top k classes, each as a dict: class, label, probability (6 decimals)."""
    return [
        {"class": classes[label], "label": int(label), "probability": round(float(score), 6)}
        for label, score in zip(*scores.top(top_k))
    ]


def as_csv(report: FilesReport[Classifications], classes: Sequence[str]) -> str:
    """One row per file: path, label (the class's name), probability, and p_CLASS for every class.

    An empty report gives the header only.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["path", "label", "probability", *(f"p_{name}" for name in classes)])
    for result in report.done:
        scores = result.prediction
        numbers = (f"{value:.6f}" for value in (scores.score, *scores.probabilities))
        rows.writerow([str(result.file), classes[scores.label], *numbers])
    return text.getvalue()


def top_table(
    report: FilesReport[Classifications], classes: Sequence[str], top_k: int, threshold: float = 0.0
) -> str:
    """One row per file: its size, its label ('unsure' below ``threshold``), and the top k classes.

    The last row has the number of files with each label.
    """
    names = [*classes, UNSURE]
    counts = np.zeros(len(names), np.int64)

    def to_cells(scores: Classifications) -> tuple[str, str]:
        label = scores.label if is_confident(scores, threshold) else len(classes)
        counts[label] += 1
        top = ", ".join(f"{classes[item]} {score:.3f}" for item, score in zip(*scores.top(top_k)))
        return names[label], top

    return report_table(report, ("label", f"top {min(top_k, len(classes))}"), "LL", to_cells,
                        lambda: ("", format_counts(counts, names)))


def is_confident(scores: Classifications, threshold: float) -> bool:
    """Whether the highest probability reaches ``threshold``."""
    return scores.score >= threshold
