"""Run inference on image files in batches, and save visualizations and results."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar, Union

from detkit.data.images.read_image import read_image
from detkit.data.images.read_notes import ImageNote
from detkit.errors import DataError
from detkit.files import atomic_replace
from detkit.inference.files_report import FileResult, FilesReport
from detkit.inference.image_files import OutputNames
from detkit.inference.predictor_protocol import Image

# Limits the batch size for large images; these pixels take 100 MB.
MAX_BATCH_PIXELS = 2**25

Prediction = TypeVar("Prediction")
PredictFn = Callable[[list[Image]], Sequence[Prediction]]
DrawFn = Callable[[Image, Prediction], Image]
_LoadedImage = tuple[Path, Union[Image, DataError], tuple[ImageNote, ...]]


def predict_files(
    predict: PredictFn[Prediction],
    files: Sequence[Path],
    out: Path,
    write: Callable[[FilesReport[Prediction]], None],
    draw: DrawFn[Prediction] | None = None,
    on_file: Callable[[Path], None] = lambda file: None,
    batch_size: int = 1,
) -> FilesReport[Prediction]:
    """Run inference on each file, save its visualization to ``out``, and write the results.

    A file that cannot be used is reported with its reason, and the others are processed. The
    results so far are written even when the run is interrupted.

    Args:
        predict: returns one prediction for each of a list of (H, W, 3) uint8 RGB images.
        files: image files.
        out: an existing folder.
        write: writes the results; called once, at the end or at an interruption.
        draw: draws a prediction on a copy of its image; None for no visualizations.
        on_file: called after each file, whether it could be used or not.
        batch_size: maximum number of images in one call of ``predict``; fewer for large images.
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
    """Batches of files with their images, or with the errors of reading them."""
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
    """A prediction or an error for each image; one invalid image does not affect the others."""
    if not images:
        return []
    try:
        return predict(images)
    except DataError as error:
        if len(images) == 1:
            return [error]
    return [prediction for image in images for prediction in _predict_or_error(predict, [image])]


def save_image(image: Image, path: Path) -> None:
    """Write an (H, W, 3) uint8 RGB array as a JPEG file, atomically."""
    from PIL import Image as PillowImage

    stream = io.BytesIO()
    PillowImage.fromarray(image).save(stream, "JPEG", quality=92)
    with atomic_replace(path, "wb") as file:
        file.write(stream.getvalue())


def _reason(error: DataError, file: Path) -> str:
    return str(error).removeprefix(f"{file}: ")
