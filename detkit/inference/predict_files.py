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
from detkit.inference.image_files import PictureNames
from detkit.inference.output_folder import write_whole
from detkit.inference.predictor_protocol import Image

# A batch of large images ends early: so many pixels take 100 MB.
BATCH_PIXELS = 2**25
NAMED = 10  # files of one kind of note that a message names; the results' file has all

Answer = TypeVar("Answer")
Look = Callable[[list[Image]], Sequence[Answer]]
Draw = Callable[[Image, Answer], Image]
_Loaded = tuple[Path, Union[Image, DataError], tuple[ImageNote, ...]]


@dataclass(frozen=True)
class FileResult(Generic[Answer]):
    """What was seen in one file; ``picture`` is the drawn picture's name, None without one.

    ``notes`` are what its reading had to decide, such as which of several frames is read.
    """

    file: Path
    found: Answer
    picture: str | None
    notes: tuple[ImageNote, ...] = ()


@dataclass
class FilesReport(Generic[Answer]):
    """All results in the order of the files, and those that could not be used, with reasons."""

    done: list[FileResult[Answer]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def predict_files(
    look: Look[Answer],
    files: Sequence[Path],
    out: Path,
    write: Callable[[FilesReport[Answer]], None],
    draw: Draw[Answer] | None = None,
    on_file: Callable[[Path], None] = lambda file: None,
    batch_size: int = 1,
) -> FilesReport[Answer]:
    """Look at each file, write the drawn pictures to ``out``, and hand all to ``write``.

    A file that cannot be used is put down with its reason, and the others are done. What was
    done is written even when the run is interrupted.

    Args:
        look: gives one answer for each of a list of (H, W, 3) uint8 RGB images.
        files: image files.
        out: an existing folder.
        write: called once, at the end, whatever ended it.
        draw: draws an answer on a picture; None for no pictures.
        on_file: called after each file, done or not.
        batch_size: at most so many images go to ``look`` at once; fewer of large ones.
    """
    report: FilesReport[Answer] = FilesReport()
    names = PictureNames()
    try:
        for batch in _batches(files, batch_size):
            good = [image for _, image, _ in batch if not isinstance(image, DataError)]
            answers = iter(_look(look, good))
            for file, image, notes in batch:
                found = image if isinstance(image, DataError) else next(answers)
                if isinstance(found, DataError):
                    report.failed.append((file, _reason(found, file)))
                elif not isinstance(image, DataError):
                    picture = None
                    if draw is not None:
                        picture = names.name_for(file)
                        save_picture(draw(image, found), out / picture)
                    report.done.append(FileResult(file, found, picture, notes))
                on_file(file)
    finally:
        write(report)
    return report


def _batches(files: Sequence[Path], size: int) -> Iterator[list[_Loaded]]:
    """Files with their images, or with what is wrong with them."""
    batch: list[_Loaded] = []
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
        if len(batch) >= size or pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _look(look: Look[Answer], images: list[Image]) -> Sequence[Answer | DataError]:
    """An answer for each image, or why there is none; one bad image spoils no other's answer."""
    if not images:
        return []
    try:
        return look(images)
    except DataError as error:
        if len(images) == 1:
            return [error]
    return [answer for image in images for answer in _look(look, [image])]


def save_picture(image: Image, path: Path) -> None:
    """Write an (H, W, 3) uint8 RGB array as a JPEG, which has its name only when it is whole."""
    from PIL import Image as PillowImage

    stream = io.BytesIO()
    PillowImage.fromarray(image).save(stream, "JPEG", quality=92)
    write_whole(path, stream.getvalue())


def align(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words as lines of columns: the first to the left, the last as it is."""
    wide = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for first, *middle, last in rows:
        words = [first.ljust(wide[0])]
        words += [word.rjust(width) for word, width in zip(middle, wide[1:])]
        lines.append("  ".join([*words, last]).rstrip())
    return "\n".join(lines)


def file_record(result: FileResult[Any]) -> dict[str, Any]:
    """A file that was done as a dict: file, width, height (pixels), picture, and notes if any."""
    height, width = result.found.size_hw
    record = {"file": str(result.file), "width": width, "height": height,
              "picture": result.picture}
    if result.notes:
        record["notes"] = [note.what for note in result.notes]
    return record


def note_lines(report: FilesReport[Any]) -> list[str]:
    """A line for each kind of note: the first file with its finding, and how many others."""
    by_kind: dict[str, list[tuple[Path, ImageNote]]] = {}
    for result in report.done:
        for note in result.notes:
            by_kind.setdefault(note.kind, []).append((result.file, note))
    lines = []
    for noted in by_kind.values():
        file, note = noted[0]
        names = ", ".join(other.name for other, _ in noted[1:NAMED])
        names += ", ..." if len(noted) > NAMED else ""
        rest = f"; and {len(noted) - 1} more alike: {names}" if len(noted) > 1 else ""
        lines.append(f"{file}: {note.what}{rest}")
    return lines


def failed_records(report: FilesReport[Answer]) -> list[dict[str, str]]:
    """The files that could not be used, each as a dict: file and reason."""
    return [{"file": str(file), "reason": reason} for file, reason in report.failed]


def _reason(error: DataError, file: Path) -> str:
    return str(error).removeprefix(f"{file}: ")
