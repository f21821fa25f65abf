"""Look at image files one by one; draw each, and have the results written at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from detkit.data.images import read_image
from detkit.errors import DataError
from detkit.inference.image_files import PictureNames

Image = NDArray[np.uint8]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class FileResult(Generic[Answer]):
    """What was seen in one file; ``picture`` is the drawn picture's name, None without one."""

    file: Path
    found: Answer
    picture: str | None


@dataclass
class FilesReport(Generic[Answer]):
    """All results in the order of the files, and those that could not be used, with reasons."""

    done: list[FileResult[Answer]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def predict_files(
    look: Callable[[Image], Answer],
    files: Sequence[Path],
    out: Path,
    write: Callable[[FilesReport[Answer]], None],
    draw: Callable[[Image, Answer], Image] | None = None,
    on_file: Callable[[Path], None] = lambda file: None,
) -> FilesReport[Answer]:
    """Look at each file, write the drawn pictures to ``out``, and hand all to ``write``.

    A file that cannot be used is put down with its reason, and the others are done. What was
    done is written even when the run is interrupted.

    Args:
        look: the model's answer to an (H, W, 3) uint8 RGB image.
        files: image files.
        out: an existing folder.
        write: called once, at the end, whatever ended it.
        draw: draws an answer on a picture; None for no pictures.
        on_file: called after each file, done or not.
    """
    report: FilesReport[Answer] = FilesReport()
    names = PictureNames()
    try:
        for file in files:
            try:
                image = read_image(file)
                found = look(image)
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
        write(report)
    return report


def save_picture(image: Image, path: Path) -> None:
    """Write an (H, W, 3) uint8 RGB array as a JPEG."""
    from PIL import Image as PillowImage

    PillowImage.fromarray(image).save(path, "JPEG", quality=92)


def align(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words as lines of columns: the first to the left, the last as it is."""
    wide = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for first, *middle, last in rows:
        words = [first.ljust(wide[0])]
        words += [word.rjust(width) for word, width in zip(middle, wide[1:])]
        lines.append("  ".join([*words, last]).rstrip())
    return "\n".join(lines)


def failed_records(report: FilesReport[Answer]) -> list[dict[str, str]]:
    """The files that could not be used, each as a dict: file and reason."""
    return [{"file": str(file), "reason": reason} for file, reason in report.failed]


def _reason(error: DataError, file: Path) -> str:
    return str(error).removeprefix(f"{file}: ")
