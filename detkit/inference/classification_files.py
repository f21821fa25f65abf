"""What a classifier says of files, as json, csv and a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detkit.inference.detection_files import format_counts
from detkit.inference.output_folder import atomic_write_text
from detkit.inference.predict_files import FilesReport, failed_records, file_record
from detkit.structures.classifications import Classifications
from detkit.tables import format_table

JSON_NAME = "predictions.json"
CSV_NAME = "predictions.csv"
UNSURE = "unsure"


def write_predictions(
    report: FilesReport[Classifications], out: Path, classes: Sequence[str], top_k: int,
    threshold: float = 0.0,
) -> None:
    """Write the report as ``out``/predictions.json (the top k) and predictions.csv (all)."""
    document = as_document(report, classes, top_k, threshold)
    atomic_write_text(out / JSON_NAME, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    atomic_write_text(out / CSV_NAME, as_csv(report, classes))


def as_document(
    report: FilesReport[Classifications], classes: Sequence[str], top_k: int, threshold: float = 0.0
) -> dict[str, Any]:
    """The report as plain numbers and names, ready for json.

    ``images``: one entry a file that was done: file, width, height, picture, ``sure`` (whether
    the first probability reaches the threshold), and ``top``, the k classes of the highest
    probability. ``failed``: file and reason.
    """
    return {
        "classes": list(classes),
        "threshold": threshold,
        "images": [
            {
                **file_record(result),
                "sure": is_confident(result.prediction, threshold),
                "top": as_records(result.prediction, classes, top_k),
            }
            for result in report.done
        ],
        "failed": failed_records(report),
    }


def as_records(scores: Classifications, classes: Sequence[str], top_k: int) -> list[dict[str, Any]]:
    """The top k, each as a dict: class, label, probability (to the millionth)."""
    return [
        {"class": classes[label], "label": int(label), "probability": round(float(score), 6)}
        for label, score in zip(*scores.top(top_k))
    ]


def as_csv(report: FilesReport[Classifications], classes: Sequence[str]) -> str:
    """One row a file that was done: path, label (the class's name), probability, p_CLASS...

    The last columns hold the probability of every class, in the order of the classes. An empty
    report gives the header alone.
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
    """One line a file: its size, its label ('unsure' below ``threshold``), and the top k.

    A last line counts the labels. An empty report gives that line alone, below the head.
    """
    names = [*classes, UNSURE]
    rows = [("image", "size", "label", f"top {min(top_k, len(classes))}")]
    counts = np.zeros(len(names), np.int64)
    for result in report.done:
        scores = result.prediction
        label = scores.label if is_confident(scores, threshold) else len(classes)
        counts[label] += 1
        top = ", ".join(f"{classes[item]} {score:.3f}" for item, score in zip(*scores.top(top_k)))
        height, width = scores.size_hw
        rows.append((str(result.file), f"{width}x{height}", names[label], top))
    rows.append((f"{len(report.done)} images", "", "", format_counts(counts, names)))
    return format_table(rows, "lrll")


def is_confident(scores: Classifications, threshold: float) -> bool:
    """Whether the highest probability reaches ``threshold``; always at 0."""
    return scores.score >= threshold
