"""Look at image files in batches; draw each, and have the results written at the end."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, Union

from detkit.data.images.read_image import read_image
from detkit.data.images.read_notes import ImageNote
from detkit.errors import DataError
from detkit.files import atomic_replace
from detkit.inference.image_files import OutputNames
from detkit.inference.predictor_protocol import Image

# A batch of large images ends early: so many pixels take 100 MB.
MAX_BATCH_PIXELS = 2**25
MAX_LISTED_FILES = 10  # files of one kind of note that a message names; the results' file has all

Prediction = TypeVar("Prediction")
PredictFn = Callable[[list[Image]], Sequence[Prediction]]
DrawFn = Callable[[Image, Prediction], Image]
_LoadedImage = tuple[Path, Union[Image, DataError], tuple[ImageNote, ...]]


@dataclass(frozen=True)
class FileResult(Generic[Prediction]):
    """What was seen in one file; ``output_name`` is the drawn picture's name, None without one.

    ``notes`` are what its reading had to decide, such as which of several frames is read.
    """

    file: Path
    prediction: Prediction
    output_name: str | None
    notes: tuple[ImageNote, ...] = ()


@dataclass
class FilesReport(Generic[Prediction]):
    """All results in the order of the files, and those that could not be used, with reasons."""

    done: list[FileResult[Prediction]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def predict_files(
    predict: PredictFn[Prediction],
    files: Sequence[Path],
    out: Path,
    write: Callable[[FilesReport[Prediction]], None],
    draw: DrawFn[Prediction] | None = None,
    on_file: Callable[[Path], None] = lambda file: None,
    batch_size: int = 1,
) -> FilesReport[Prediction]:
    """Look at each file, write the drawn pictures to ``out``, and hand all to ``write``.

    A file that cannot be used is put down with its reason, and the others are done. What was
    done is written even when the run is interrupted.

    Args:
        predict: gives one answer for each of a list of (H, W, 3) uint8 RGB images.
        files: image files.
        out: an existing folder.
        write: called once, at the end, whatever ended it.
        draw: draws an answer on a picture; None for no pictures.
        on_file: called after each file, done or not.
        batch_size: at most so many images go to ``predict`` at once; fewer of large ones.
    """
    report: FilesReport[Prediction] = FilesReport()
    names = OutputNames()
    try:
        for batch in _batches(files, batch_size):
            loaded = [image for _, image, _ in batch if not isinstance(image, DataError)]
            predictions = iter(_predict_or_error(predict, loaded))
            for file, image, notes in batch:
                prediction = image if isinstance(image, DataError) else next(predictions)
                if isinstance(prediction, DataError):
                    report.failed.append((file, _reason(prediction, file)))
                elif not isinstance(image, DataError):
                    output_name = None
                    if draw is not None:
                        output_name = names.name_for(file)
                        save_image(draw(image, prediction), out / output_name)
                    report.done.append(FileResult(file, prediction, output_name, notes))
                on_file(file)
    finally:
        write(report)
    return report


def _batches(files: Sequence[Path], size: int) -> Iterator[list[_LoadedImage]]:
    """Files with their images, or with what is wrong with them."""
    batch: list[_LoadedImage] = []
    pixels = 0
    for file in files:
        notes: list[ImageNote] = []
        try:
            image = read_image(file, notes.append)
        except DataError as error:
            batch.append((file, error, ()))
        else:
            batch.append((file, image, tuple(notes)))
            pixels += image.shape[0] * image.shape[1]
        if len(batch) >= size or pixels >= MAX_BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _predict_or_error(predict: PredictFn[Prediction],
                      images: list[Image]) -> Sequence[Prediction | DataError]:
    """An answer for each image, or why there is none; one bad image spoils no other's answer."""
    if not images:
        return []
    try:
        return predict(images)
    except DataError as error:
        if len(images) == 1:
            return [error]
    return [prediction for image in images for prediction in _predict_or_error(predict, [image])]


def save_image(image: Image, path: Path) -> None:
    """Write an (H, W, 3) uint8 RGB array as a JPEG, which has its name only when it is whole."""
    from PIL import Image as PillowImage

    stream = io.BytesIO()
    PillowImage.fromarray(image).save(stream, "JPEG", quality=92)
    with atomic_replace(path, "wb") as file:
        file.write(stream.getvalue())


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words as lines of columns: the first to the left, the last as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for first, *middle, last in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(middle, widths[1:])]
        lines.append("  ".join([*cells, last]).rstrip())
    return "\n".join(lines)


def file_record(result: FileResult[Any]) -> dict[str, Any]:
    """A file that was done as a dict: file, width, height (pixels), picture, and notes if any."""
    height, width = result.prediction.size_hw
    record = {"file": str(result.file), "width": width, "height": height,
              "picture": result.output_name}
    if result.notes:
        record["notes"] = [note.message for note in result.notes]
    return record


def format_notes(report: FilesReport[Any]) -> list[str]:
    """A line for each kind of note: the first file with its finding, and how many others."""
    by_code: dict[str, list[tuple[Path, ImageNote]]] = {}
    for result in report.done:
        for note in result.notes:
            by_code.setdefault(note.code, []).append((result.file, note))
    lines = []
    for noted in by_code.values():
        file, note = noted[0]
        names = ", ".join(other.name for other, _ in noted[1:MAX_LISTED_FILES])
        names += ", ..." if len(noted) > MAX_LISTED_FILES else ""
        rest = f"; and {len(noted) - 1} more alike: {names}" if len(noted) > 1 else ""
        lines.append(f"{file}: {note.message}{rest}")
    return lines


def failed_records(report: FilesReport[Prediction]) -> list[dict[str, str]]:
    """The files that could not be used, each as a dict: file and reason."""
    return [{"file": str(file), "reason": reason} for file, reason in report.failed]


def _reason(error: DataError, file: Path) -> str:
    return str(error).removeprefix(f"{file}: ")
