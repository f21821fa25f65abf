"""The model of the page, shared by all visitors; predicts one image at a time and measures it."""

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
    """An image, its prediction, and the time of each step in milliseconds.

    ``notes`` are messages about the reading of its file.
    """

    image: Image
    prediction: Detections | Classifications
    timings: Mapping[str, float]
    notes: tuple[str, ...] = ()


class DemoModel:
    """Runs inference on images and draws predictions; may be called from several threads.

    Detections of all scores are returned, so that a new threshold needs no new inference.

    Args:
        predictor: the detector or classifier.
        engine: a description of its engine, such as 'openvino f32 256x320'.

    Attributes:
        classes: the class names, indexed by label.
        is_detector: whether it is a detector; else it is a classifier.
        num_streams: number of parallel calls that the predictor supports.
    """

    def __init__(self, predictor: PredictorProtocol[Any], engine: str) -> None:
        predictor.score_threshold = 0.0
        self._predictor = predictor
        self.engine = engine
        self.classes = tuple(predictor.classes)
        self.is_detector = predictor.task == DETECTION
        self.num_streams = predictor.num_streams
        self._slots = threading.BoundedSemaphore(self.num_streams)
        self._prepared: set[tuple[int, int]] = set()
        # An annotator caches data for the size of its last image, so each thread has its own.
        self._annotators = threading.local()

    def predict(self, image: Image) -> DemoResult:
        """Run inference on an (H, W, 3) uint8 RGB image."""
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
        """A copy of ``image`` with the prediction drawn on it."""
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
        """Build the engine for a new image size now, so that this is not part of the timings."""
        prepare = getattr(self._predictor, "prepare", None)
        if prepare is not None and original_hw not in self._prepared:
            prepare(original_hw)
            self._prepared.add(original_hw)

    def _timings(self, elapsed_ms: float) -> Mapping[str, float]:
        """Milliseconds of the last call in this thread, by step if the predictor measures them."""
        timings = getattr(self._predictor, "timings", None)
        return {"resize + model": elapsed_ms} if timings is None else timings._asdict()


def filter_detections(detections: Detections, threshold: float,
                      labels: Sequence[int]) -> Detections:
    """The detections with at least ``threshold`` and one of these labels; empty for all labels."""
    import numpy as np

    detections = detections.filter_by_score(threshold)
    return detections[np.isin(detections.labels, labels)] if labels else detections
