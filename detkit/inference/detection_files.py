"""What a detector found in files, as json and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.inference.output_folder import atomic_write_text
from detkit.inference.predict_files import FilesReport, failed_records, file_record
from detkit.structures.detections import Detections
from detkit.tables import format_table

JSON_NAME = "detections.json"


def write_detections(
    report: FilesReport[Detections], out: Path, classes: Sequence[str], score_threshold: float
) -> None:
    """Write the report as ``out``/detections.json."""
    document = as_document(report, classes, score_threshold)
    atomic_write_text(out / JSON_NAME, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def as_document(
    report: FilesReport[Detections], classes: Sequence[str], score_threshold: float
) -> dict[str, Any]:
    """The report as plain numbers and names, ready for json.

    ``images``: one entry a file that was done: file, width, height, picture, and detections
    (class, label, score, box_xyxy in pixels of the image). ``failed``: file and reason.
    """
    return {
        "classes": list(classes),
        "score_threshold": score_threshold,
        "images": [
            {
                **file_record(result),
                "detections": list(as_records(result.prediction, classes)),
            }
            for result in report.done
        ],
        "failed": failed_records(report),
    }


def as_records(detections: Detections, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each detection as a dict: class, label, score, box_xyxy (pixels, to the hundredth)."""
    for box, score, label in zip(detections.boxes_xyxy, detections.scores, detections.labels):
        yield {
            "class": classes[label],
            "label": int(label),
            "score": round(float(score), 4),
            "box_xyxy": [round(float(side), 2) for side in box],
        }


def counts_table(report: FilesReport[Detections], classes: Sequence[str]) -> str:
    """One line a file: its size, how many were found, and how many of each class.

    A last line gives the sums. An empty report gives the sums alone.
    """
    rows = [("image", "size", "found", "classes")]
    total = np.zeros(len(classes), np.int64)
    for result in report.done:
        counts = np.bincount(result.prediction.labels, minlength=len(classes))
        total += counts
        height, width = result.prediction.size_hw
        rows.append(
            (str(result.file), f"{width}x{height}", str(len(result.prediction)),
             format_counts(counts, classes))
        )
    rows.append((f"{len(report.done)} images", "", str(int(total.sum())),
                 format_counts(total, classes)))
    return format_table(rows, "lrrl")


def format_counts(counts: NDArray[np.int64], classes: Sequence[str]) -> str:
    """'3 car, 1 dog': the classes that were counted, the most frequent first."""
    order = np.argsort(-counts, kind="stable")
    return ", ".join(f"{counts[label]} {classes[label]}" for label in order if counts[label])
