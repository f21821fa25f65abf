"""The model behind the page: one for all who look, one picture at a time, with its times."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from detkit.inference.predictor import DETECTION
from detkit.inference.predictor_protocol import Image
from detkit.structures.classifications import ClassScores
from detkit.structures.detections import Detections

if TYPE_CHECKING:
    from detkit.visualization.box_annotator import BoxPainter

TOP_K = 5


class Looks(Protocol):
    """What the page asks of a predictor, with whichever engine it looks."""

    task: str
    classes: tuple[str, ...]
    score_threshold: float

    def __call__(self, image: Any) -> Any:
        """What is seen in one image or in each of a list."""
        ...


@dataclass(frozen=True)
class Seen:
    """One picture, what the model says of it, and the milliseconds that this took, by part.

    ``notes`` are sentences on how its file was read.
    """

    image: Image
    answer: Detections | ClassScores
    parts: Mapping[str, float]
    notes: tuple[str, ...] = ()


class DemoModel:
    """Looks at pictures and draws what it saw; may be called from many threads.

    It keeps every find whatever its score, so that a threshold can be moved without a new look.

    Args:
        predictor: the detector or classifier.
        says: one line on what it runs with, as 'openvino f32 256x320'.

    Attributes:
        classes: the names that labels index.
        detects: whether it finds boxes; else it names whole pictures.
        streams: so many looks at once it serves well.
    """

    def __init__(self, predictor: Looks, says: str) -> None:
        predictor.score_threshold = 0.0
        self._predictor = predictor
        self.says = says
        self.classes = tuple(predictor.classes)
        self.detects = predictor.task == DETECTION
        # What several threads may call at once says so; mmdet's models do not.
        self.streams = max(1, int(getattr(predictor, "streams", 1)))
        self._turn = threading.BoundedSemaphore(self.streams)
        self._prepared: set[tuple[int, int]] = set()
        # A painter keeps what fits the last picture's size, which another thread must not change.
        self._painters = threading.local()

    def look(self, image: Image) -> Seen:
        """Look at an (H, W, 3) uint8 RGB image."""
        with self._turn:
            self._prepare((image.shape[0], image.shape[1]))
            begin = time.perf_counter()
            answer = self._predictor(image)
            spent = 1000 * (time.perf_counter() - begin)
            parts = self._parts(spent)
        return Seen(image, answer, parts)

    def draw(
        self, image: Image, answer: Detections | ClassScores, threshold: float = 0.0
    ) -> Image:
        """A copy of ``image`` with an answer on it; a classifier's label, as large as it fits."""
        if isinstance(answer, Detections):
            return self._box_painter()(image, answer)
        from detkit.visualization.label_annotator import ClassPainter

        return ClassPainter(self.classes, threshold=threshold)(image, answer)

    def _box_painter(self) -> BoxPainter:
        from detkit.visualization.box_annotator import BoxPainter

        if not hasattr(self._painters, "boxes"):
            self._painters.boxes = BoxPainter(self.classes)
        painter: BoxPainter = self._painters.boxes
        return painter

    def _prepare(self, image_hw: tuple[int, int]) -> None:
        """Have the engine of a new size made now, whose seconds are no part of a look."""
        prepare = getattr(self._predictor, "prepare", None)
        if prepare is not None and image_hw not in self._prepared:
            prepare(image_hw)
            self._prepared.add(image_hw)

    def _parts(self, spent: float) -> Mapping[str, float]:
        """The last look's milliseconds in this thread: split where the predictor splits them."""
        timings = getattr(self._predictor, "timings", None)
        return {"fit + model": spent} if timings is None else timings._asdict()


def chosen(found: Detections, threshold: float, labels: Sequence[int]) -> Detections:
    """The finds of at least ``threshold``, of these labels; of all when none is named."""
    import numpy as np

    above = found.above(threshold)
    return above.select(np.isin(above.labels, labels)) if labels else above
