"""The model behind the page: one for all who look, one picture at a time, with its times."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detkit.inference.predictor_protocol import DETECTION, Image, PredictorProtocol
from detkit.structures.classifications import Classifications
from detkit.structures.detections import Detections

if TYPE_CHECKING:
    from detkit.visualization.box_annotator import BoxAnnotator

TOP_K = 5


@dataclass(frozen=True)
class DemoResult:
    """One picture, what the model says of it, and the milliseconds that this took, by part.

    ``notes`` are sentences on how its file was read.
    """

    image: Image
    prediction: Detections | Classifications
    timings: Mapping[str, float]
    notes: tuple[str, ...] = ()


class DemoModel:
    """Looks at pictures and draws what it saw; may be called from many threads.

    It keeps every find whatever its score, so that a threshold can be moved without a new look.

    Args:
        predictor: the detector or classifier.
        engine: one line on what it runs with, as 'openvino f32 256x320'.

    Attributes:
        classes: the names that labels index.
        is_detector: whether it finds boxes; else it names whole pictures.
        num_streams: so many looks at once it serves well.
    """

    def __init__(self, predictor: PredictorProtocol[Any], engine: str) -> None:
        predictor.score_threshold = 0.0
        self._predictor = predictor
        self.engine = engine
        self.classes = tuple(predictor.classes)
        self.is_detector = predictor.task == DETECTION
        # What several threads may call at once says so; mmdet's models do not.
        self.num_streams = predictor.num_streams
        self._slots = threading.BoundedSemaphore(self.num_streams)
        self._prepared: set[tuple[int, int]] = set()
        # A painter keeps what fits the last picture's size, which another thread must not change.
        self._annotators = threading.local()

    def predict(self, image: Image) -> DemoResult:
        """Look at an (H, W, 3) uint8 RGB image."""
        with self._slots:
            self._prepare((image.shape[0], image.shape[1]))
            begin = time.perf_counter()
            prediction = self._predictor(image)
            elapsed_ms = 1000 * (time.perf_counter() - begin)
            timings = self._timings(elapsed_ms)
        return DemoResult(image, prediction, timings)

    def draw(
        self, image: Image, prediction: Detections | Classifications, threshold: float = 0.0
    ) -> Image:
        """A copy of ``image`` with an answer on it; a classifier's label, as large as it fits."""
        if isinstance(prediction, Detections):
            return self._box_annotator()(image, prediction)
        from detkit.visualization.label_annotator import LabelAnnotator

        return LabelAnnotator(self.classes, threshold=threshold)(image, prediction)

    def _box_annotator(self) -> BoxAnnotator:
        from detkit.visualization.box_annotator import BoxAnnotator

        if not hasattr(self._annotators, "boxes"):
            self._annotators.boxes = BoxAnnotator(self.classes)
        annotator: BoxAnnotator = self._annotators.boxes
        return annotator

    def _prepare(self, original_hw: tuple[int, int]) -> None:
        """Have the engine of a new size made now, whose seconds are no part of a look."""
        prepare = getattr(self._predictor, "prepare", None)
        if prepare is not None and original_hw not in self._prepared:
            prepare(original_hw)
            self._prepared.add(original_hw)

    def _timings(self, elapsed_ms: float) -> Mapping[str, float]:
        """The last look's milliseconds in this thread: split where the predictor splits them."""
        timings = getattr(self._predictor, "timings", None)
        return {"fit + model": elapsed_ms} if timings is None else timings._asdict()


def filter_detections(detections: Detections, threshold: float,
                      labels: Sequence[int]) -> Detections:
    """The finds of at least ``threshold``, of these labels; of all when none is named."""
    import numpy as np

    above = detections.filter_by_score(threshold)
    return above[np.isin(above.labels, labels)] if labels else above
