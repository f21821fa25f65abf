"""``Predictor``: a checkpoint that looks at images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, Union, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypeVar

from detkit.config.pipeline_cfg import get_test_pipeline_cfg
from detkit.data.images.read_image import read_image
from detkit.engine.build_model import load_model
from detkit.errors import DataError
from detkit.inference.classification_adapter import ClassificationAdapter
from detkit.inference.detection_adapter import DetectionAdapter
from detkit.inference.predictor_protocol import Adapter, Prepared
from detkit.registry import import_mmdet
from detkit.structures.classifications import Classifications
from detkit.structures.detections import Detections
from detkit.trust import trust_enabled, trust_files

ImageLike = Union[NDArray[np.uint8], str, Path]
# Which of the two comes is known when the file is read; to a type checker a Predictor is a
# detector's unless it is told otherwise.
Prediction = TypeVar("Prediction", Detections, Classifications, default=Detections)

CLASSIFICATION = "classification"
DETECTION = "detection"


class Predictor(Generic[Prediction]):
    """Look at images with a trained checkpoint; nothing but the checkpoint is needed.

    A detector's gives `Detections`, a classifier's `Classifications`. A type checker takes it for a
    detector's; ``Predictor[Classifications]("best.pth")`` tells it otherwise.

    Args:
        checkpoint: a checkpoint that carries its config and classes, as detkit's training
            writes it.
        device: 'auto' (a GPU when there is one), 'cpu', 'cuda', 'cuda:1', ...
        score_threshold: detections below it are left out; from 0 to 1. It has no effect on a
            classifier, which always answers with all its classes.
        batch_size: at most so many images go through the model at once; at least 1.
        trust: of a file whose maker you trust: code in it may be executed; see ``load_model``.

    Attributes:
        task: 'detection' or 'classification'.
        classes: the names that labels index.
        score_threshold: as above; may be changed between calls.

    Raises:
        WeightsError: the file is no such checkpoint.
        ConfigError: its config has no test pipeline, or one that cannot be built.
        ValueError: a threshold outside 0..1, or a batch size below 1.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = "auto",
        score_threshold: float = 0.3,
        batch_size: int = 8,
        trust: bool = False,
    ) -> None:
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold: got {score_threshold}, expected 0 to 1")
        if batch_size < 1:
            raise ValueError(f"batch_size: got {batch_size}, expected at least 1")
        import_mmdet()
        with trust_files(trust or trust_enabled()):
            loaded = load_model(Path(checkpoint), device=device)
            pipeline = get_test_pipeline_cfg(loaded.cfg, str(checkpoint))
        self.classes: tuple[str, ...] = tuple(loaded.classes)
        self.score_threshold = score_threshold
        self._batch_size = batch_size
        # To mypy every attribute of an nn.Module is a tensor or a module.
        model: Any = loaded.model
        self.task: str = getattr(type(model), "task", DETECTION)
        adapter_class: Any = ClassificationAdapter if self.task == CLASSIFICATION else DetectionAdapter
        self._adapter: Adapter[Prediction] = adapter_class(model, pipeline, len(self.classes))

    # A str is a sequence of str, too; the first signature wins, as it does below.
    @overload
    def __call__(self, image: ImageLike) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, image: Sequence[ImageLike]) -> list[Prediction]: ...

    def __call__(self, image: ImageLike | Sequence[ImageLike]) -> Prediction | list[Prediction]:
        """What the model sees in one image, or in each of several, in their order.

        Images that the pipeline brings to one size share a batch; others never do, so that
        padding cannot change a result with the company it came in.

        Args:
            image: (H, W, 3) uint8 RGB, or the path of an image file, or a sequence of either.
                Files are read as a person sees them (rotation tags, grey, alpha).

        Returns:
            Of a detector: boxes in pixels of the image as it was given, clipped to it, highest
            score first. Of a classifier: the probability of each class. An empty sequence gives
            an empty list.

        Raises:
            DataError: an array of another kind, or a file that is not a readable image.
        """
        if isinstance(image, (str, Path, np.ndarray)):
            return self._predict([image])[0]
        if not isinstance(image, Sequence):
            raise DataError(
                "image", got=type(image).__name__,
                expected="an (H, W, 3) uint8 RGB array, a path, or a sequence of these",
            )
        return self._predict(image)

    def _predict(self, images: Sequence[ImageLike]) -> list[Prediction]:
        predictions: list[Prediction] = []
        pending: list[Prepared] = []
        for index, image in enumerate(images):
            name = "image" if len(images) == 1 else f"image {index}"
            prepared = self._adapter.prepare(load_image_array(image, name))
            if pending and pending[0]["inputs"].shape != prepared["inputs"].shape:
                predictions += self._adapter.predict(pending, self.score_threshold)
                pending = []
            pending.append(prepared)
            if len(pending) == self._batch_size:
                predictions += self._adapter.predict(pending, self.score_threshold)
                pending = []
        return predictions + self._adapter.predict(pending, self.score_threshold)


def load_image_array(image: ImageLike, name: str) -> NDArray[np.uint8]:
    """The (H, W, 3) uint8 RGB array that was given or that the file holds, checked."""
    if isinstance(image, (str, Path)):
        return read_image(Path(image))
    expected = "an (H, W, 3) uint8 RGB array or a path"
    if not isinstance(image, np.ndarray):
        raise DataError(name, got=type(image).__name__, expected=expected)
    if image.dtype != np.uint8:
        raise DataError(name, got=f"an array of {image.dtype}", expected=expected)
    if image.ndim != 3 or image.shape[2] != 3:
        hint = "for several images, pass a list of arrays" if image.ndim == 4 else None
        raise DataError(name, got=f"shape {image.shape}", expected=expected, hint=hint)
    if image.size == 0:
        raise DataError(name, got=f"an empty array of shape {image.shape}", expected=expected)
    return image
