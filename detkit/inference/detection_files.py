"""Detections for a list of image files, as json and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from detkit.structures.detections import Detections

JSON_NAME = "detections.json"


def write_detections(
    report: FilesReport[Detections], out: Path, classes: Sequence[str], score_threshold: float
) -> None:
    """Write ``out``/detections.json: `report_document`, with ``detections`` for each image.

    A detection has class, label, score, and box_xyxy in pixels of the image.
    """
    header = {"classes": list(classes), "score_threshold": score_threshold}
    document = report_document(
        report, header, lambda detections: {"detections": list(as_records(detections, classes))})
    write_document(document, out / JSON_NAME)


def as_records(detections: Detections, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each detection as a dict: class, label, score, box_xyxy (pixels, 2 decimals)."""
    for box, score, label in zip(detections.boxes_xyxy, detections.scores, detections.labels):
        yield {
            "class": classes[label],
            "label": int(label),
            "score": round(float(score), 4),
            "box_xyxy": [round(float(side), 2) for side in box],
        }


def counts_table(report: FilesReport[Detections], classes: Sequence[str]) -> str:
    """One row per file: its size, the number of detections, and the number of each class.

    The last row has the sums.
    """
    total = np.zeros(len(classes), np.int64)

    def to_cells(detections: Detections) -> tuple[str, str]:
        counts = np.bincount(detections.labels, minlength=len(classes))
        total[:] += counts
        return str(len(detections)), format_counts(counts, classes)

    return report_table(report, ("detections", "classes"), "rL", to_cells,
                        lambda: (str(int(total.sum())), format_counts(total, classes)))
