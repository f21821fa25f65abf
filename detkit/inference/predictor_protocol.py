"""What callers of a predictor rely on, and the types of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, Union, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from PIL import Image as PillowImage

Image = NDArray[np.uint8]
ImageLike = Union[str, Path, NDArray[np.uint8], "PillowImage.Image", "torch.Tensor"]
Prediction = TypeVar("Prediction")

CLASSIFICATION = "classification"
DETECTION = "detection"


class PredictorProtocol(Protocol[Prediction]):
    """A trained model ready for inference on images, whichever library runs it.

    Attributes:
        task: 'detection' or 'classification'.
        classes: name of each label.
        score_threshold: detections below it are dropped; may be changed between calls.
        num_streams: number of threads that may call the predictor at the same time.
    """

    task: str
    classes: tuple[str, ...]
    score_threshold: float
    num_streams: int

    @overload
    def __call__(self, image: ImageLike) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, image: Sequence[ImageLike]) -> list[Prediction]: ...

    def summary(self) -> str:
        """One line: what runs the model."""
        ...
