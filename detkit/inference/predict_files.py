"""Detect in image files and write what was found: one json, and a drawn picture for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.data.images import read_image
from detkit.errors import DataError
from detkit.inference.image_files import PictureNames
from detkit.inference.predictor import Predictor
from detkit.structures.detections import Detections

JSON_NAME = "detections.json"
Draw = Callable[[NDArray[np.uint8], Detections], NDArray[np.uint8]]


@dataclass(frozen=True)
class FileResult:
    """What was found in one file; ``picture`` is the drawn picture's name, None without one."""

    file: Path
    found: Detections
    picture: str | None


@dataclass
class FilesReport:
    """All results in the order of the files, and those that could not be used, with reasons."""

    done: list[FileResult] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def make_out_folder(out: Path, force: bool = False) -> None:
    """Make ``out`` with its parents; one that exists must be empty, unless ``force``.

    Raises:
        DataError: ``out`` is a file, or a folder with something in it.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: is a file", expected="a folder for the results")
    if out.is_dir() and any(out.iterdir()) and not force:
        raise DataError(
            f"{out}: the folder is not empty, and nothing is overwritten unasked",
            do="name another --out, or add --force",
        )
    out.mkdir(parents=True, exist_ok=True)


def predict_files(
    predictor: Predictor,
    files: Sequence[Path],
    out: Path,
    draw: Draw | None = None,
    on_file: Callable[[Path], None] = lambda file: None,
) -> FilesReport:
    """Detect in each file, write ``out``/detections.json and the drawn pictures.

    A file that cannot be used is put down with its reason, and the others are done. What was
    done is written even when the run is interrupted.

    Args:
        files: image files.
        out: an existing folder.
        draw: draws detections on a picture; None for no pictures.
        on_file: called after each file, done or not.
    """
    report = FilesReport()
    names = PictureNames()
    try:
        for file in files:
            try:
                image = read_image(file)
                found = predictor(image)
            except DataError as error:
                report.failed.append((file, _reason(error, file)))
            else:
                picture = None
                if draw is not None:
                    picture = names.name_for(file)
                    save_picture(draw(image, found), out / picture)
                report.done.append(FileResult(file, found, picture))
            on_file(file)
    finally:
        document = as_document(report, predictor.classes, predictor.score_threshold)
        text = json.dumps(document, indent=1, ensure_ascii=False)
        # A file's name that is not UTF-8 holds surrogates; as \udcxx they are json all the same.
        (out / JSON_NAME).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    return report


def save_picture(image: NDArray[np.uint8], path: Path) -> None:
    """Write an (H, W, 3) uint8 RGB array as a JPEG."""
    from PIL import Image

    Image.fromarray(image).save(path, "JPEG", quality=92)


def as_document(
    report: FilesReport, classes: Sequence[str], score_threshold: float
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
                "file": str(result.file),
                "width": result.found.size_hw[1],
                "height": result.found.size_hw[0],
                "picture": result.picture,
                "detections": list(as_records(result.found, classes)),
            }
            for result in report.done
        ],
        "failed": [{"file": str(file), "reason": reason} for file, reason in report.failed],
    }


def as_records(found: Detections, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each detection as a dict: class, label, score, box_xyxy (pixels, to the hundredth)."""
    for box, score, label in zip(found.boxes_xyxy, found.scores, found.labels):
        yield {
            "class": classes[label],
            "label": int(label),
            "score": round(float(score), 4),
            "box_xyxy": [round(float(side), 2) for side in box],
        }


def counts_table(report: FilesReport, classes: Sequence[str]) -> str:
    """One line a file: its size, how many were found, and how many of each class.

    A last line gives the sums. An empty report gives the sums alone.
    """
    rows = [("image", "size", "found", "classes")]
    total = np.zeros(len(classes), np.int64)
    for result in report.done:
        counts = np.bincount(result.found.labels, minlength=len(classes))
        total += counts
        height, width = result.found.size_hw
        rows.append(
            (str(result.file), f"{width}x{height}", str(len(result.found)), _say(counts, classes))
        )
    rows.append((f"{len(report.done)} images", "", str(int(total.sum())), _say(total, classes)))
    wide = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{file:<{wide[0]}}  {size:>{wide[1]}}  {found:>{wide[2]}}  {named}".rstrip()
        for file, size, found, named in rows
    ]
    return "\n".join(lines)


def _say(counts: NDArray[np.int64], classes: Sequence[str]) -> str:
    order = np.argsort(-counts, kind="stable")
    return ", ".join(f"{counts[label]} {classes[label]}" for label in order if counts[label])


def _reason(error: DataError, file: Path) -> str:
    return str(error).removeprefix(f"{file}: ")
