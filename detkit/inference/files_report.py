"""Predictions for a list of image files, as json, tables and notes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from detkit.data.images.read_notes import ImageNote
from detkit.inference.output_folder import atomic_write_text
from detkit.tables import format_table

MAX_LISTED_FILES = 10  # files that a message on a note names; the results file has all of them

Prediction = TypeVar("Prediction")


@dataclass(frozen=True)
class FileResult(Generic[Prediction]):
    """The prediction for one image file.

    Args:
        file: path of the image.
        prediction: what the predictor returned; it has ``size_hw``.
        output_name: file name of the visualization; None without one.
        notes: how the file was read where that was ambiguous, such as a file with several frames.
    """

    file: Path
    prediction: Prediction
    output_name: str | None
    notes: tuple[ImageNote, ...] = ()


@dataclass
class FilesReport(Generic[Prediction]):
    """Results in the order of the files, and the files that failed, with reasons."""

    done: list[FileResult[Prediction]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def report_document(
    report: FilesReport[Prediction],
    header: Mapping[str, Any],
    to_record: Callable[[Prediction], Mapping[str, Any]],
) -> dict[str, Any]:
    """The report as JSON content.

    Args:
        report: the results.
        header: the first entries of the document, such as the classes.
        to_record: the entries of one prediction.

    Returns:
        ``header``; ``images``, one entry per file of ``report.done``: file, width and height
        (pixels), `picture` (file name of the visualization or None), notes if any, and what
        ``to_record`` gives; ``failed``: file and reason.
    """
    return {
        **header,
        "images": [{**_file_record(result), **to_record(result.prediction)}
                   for result in report.done],
        "failed": [{"file": str(file), "reason": reason} for file, reason in report.failed],
    }


def write_document(document: Mapping[str, Any], path: Path) -> None:
    """Write JSON content to ``path``, atomically."""
    atomic_write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _file_record(result: FileResult[Any]) -> dict[str, Any]:
    height, width = result.prediction.size_hw
    record = {"file": str(result.file), "width": width, "height": height,
              "picture": result.output_name}
    if result.notes:
        record["notes"] = [note.message for note in result.notes]
    return record


def report_table(
    report: FilesReport[Prediction],
    header: Sequence[str],
    align: str,
    to_cells: Callable[[Prediction], Sequence[str]],
    totals: Callable[[], Sequence[str]],
) -> str:
    """A text table with one row per file and a last row of totals.

    Args:
        report: the results.
        header: names of the columns after the file and its size.
        align: alignment of these columns, as of `format_table`.
        to_cells: these columns for one prediction.
        totals: these columns for the last row; called after the other rows are made.
    """
    rows = [("image", "size", *header)]
    for result in report.done:
        height, width = result.prediction.size_hw  # type: ignore[attr-defined]
        rows.append((str(result.file), f"{width}x{height}", *to_cells(result.prediction)))
    rows.append((f"{len(report.done)} images", "", *totals()))
    return format_table(rows, f"Lr{align}")


def format_counts(counts: NDArray[np.int64], names: Sequence[str]) -> str:
    """Nonzero counts with their names, largest first: '3 car, 1 dog'."""
    order = np.argsort(-counts, kind="stable")
    return ", ".join(f"{counts[label]} {names[label]}" for label in order if counts[label])


def format_notes(report: FilesReport[Any]) -> list[str]:
    """One line per kind of note: the first file with its note, and how many others have one."""
    by_code: dict[str, list[tuple[Path, ImageNote]]] = {}
    for result in report.done:
        for note in result.notes:
            by_code.setdefault(note.code, []).append((result.file, note))
    lines = []
    for noted_files in by_code.values():
        file, note = noted_files[0]
        names = ", ".join(other.name for other, _ in noted_files[1:MAX_LISTED_FILES])
        names += ", ..." if len(noted_files) > MAX_LISTED_FILES else ""
        rest = f"; and {len(noted_files) - 1} more: {names}" if len(noted_files) > 1 else ""
        lines.append(f"{file}: {note.message}{rest}")
    return lines
