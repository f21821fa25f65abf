"""The inputs and options that all predictors share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic, overload

from typing_extensions import TypeVar

from detkit.errors import DataError
from detkit.inference.image_input import EXPECTED, SINGLE_IMAGE_TYPES, load_image_array
from detkit.inference.predictor_protocol import Image, ImageLike
from detkit.structures.classifications import Classifications
from detkit.structures.detections import Detections

# The task of a checkpoint is known only when the file is read; a type checker assumes a detector.
Prediction = TypeVar("Prediction", Detections, Classifications, default=Detections)


class BasePredictor(ABC, Generic[Prediction]):
    """Options of a predictor, and its call on one image or several.

    Args:
        score_threshold: detections below it are dropped; from 0 to 1.
        batch_size: maximum number of images in one forward pass; at least 1.

    Raises:
        ValueError: a threshold outside 0..1, or a batch size below 1.
    """

    task: str
    classes: tuple[str, ...]
    num_streams: int

    def __init__(self, score_threshold: float, batch_size: int) -> None:
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold: got {score_threshold}, expected 0 to 1")
        if batch_size < 1:
            raise ValueError(f"batch_size: got {batch_size}, expected at least 1")
        self.score_threshold = score_threshold
        self._batch_size = batch_size

    # A str is a sequence of str, too; the first signature wins, as it does below.
    @overload
    def __call__(self, image: ImageLike) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, image: Sequence[ImageLike]) -> list[Prediction]: ...

    def __call__(self, image: ImageLike | Sequence[ImageLike]) -> Prediction | list[Prediction]:
        """Run inference on one image, or on each of several.

        Args:
            image: one image or a sequence of images, each one of
                a path of an image file, read upright as its EXIF orientation says;
                a PIL image of any mode, treated as a file's;
                an (H, W, 3) uint8 array in RGB order, not BGR as OpenCV reads it;
                a (3, H, W) uint8 tensor in RGB order, on any device.

        Returns:
            For one image its prediction, for a sequence a list in its order. A detector gives
            `Detections`: boxes in pixels of the upright input image, clipped to it, highest score
            first. A classifier gives `Classifications`: the probability of each class.

        Raises:
            DataError: another type, dtype or shape, or a file that is not a readable image.
        """
        if isinstance(image, SINGLE_IMAGE_TYPES):
            return self._predict(iter([load_image_array(image)]))[0]
        if not isinstance(image, Sequence) or isinstance(image, (bytes, bytearray)):
            raise DataError("image", got=type(image).__name__,
                            expected=f"{EXPECTED}, or a sequence of these")
        return self._predict(
            load_image_array(item, f"image {index}") for index, item in enumerate(image))

    @abstractmethod
    def _predict(self, images: Iterator[Image]) -> list[Prediction]:
        """Run inference on (H, W, 3) uint8 RGB images, which are loaded as they are taken."""

    @abstractmethod
    def summary(self) -> str:
        """One line: what runs the model."""
