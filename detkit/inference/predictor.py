"""``Predictor``: inference with a trained checkpoint, in torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detkit.config.pipeline_cfg import get_test_pipeline_cfg
from detkit.engine.load_model import load_model
from detkit.inference.base_predictor import BasePredictor, Prediction
from detkit.inference.classification_adapter import ClassificationAdapter
from detkit.inference.detection_adapter import DetectionAdapter
from detkit.inference.predictor_protocol import CLASSIFICATION, DETECTION, Image
from detkit.inference.run_test_step import Prepared
from detkit.inference.task_adapter import TaskAdapter
from detkit.registry import import_mmdet
from detkit.trust import trust_enabled, trust_files


class Predictor(BasePredictor[Prediction]):
    """Run inference on images with a trained checkpoint; no other file is needed.

    A detector gives `Detections`, a classifier `Classifications`. A type checker assumes a
    detector; write ``Predictor[Classifications]("best.pth")`` for a classifier.

    Args:
        checkpoint: a checkpoint that carries its config and classes, as detkit's training
            writes it.
        device: 'auto' (a GPU when there is one), 'cpu', 'cuda', 'cuda:1', ...
        score_threshold: detections below it are dropped; from 0 to 1. It has no effect on a
            classifier, which returns the probabilities of all classes.
        batch_size: maximum number of images in one forward pass; at least 1.
        trust: allow the checkpoint to execute code, for files from a trusted source only; see
            ``load_model``.

    Attributes:
        task: 'detection' or 'classification'.
        classes: name of each label.
        score_threshold: as above; may be changed between calls.
        num_streams: 1; calls from several threads at the same time are not supported.

    Raises:
        WeightsError: the file is not such a checkpoint.
        ConfigError: its config has no test pipeline, or one that cannot be built.
        ValueError: a threshold outside 0..1, or a batch size below 1.
    """

    num_streams = 1

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = "auto",
        score_threshold: float = 0.3,
        batch_size: int = 8,
        trust: bool = False,
    ) -> None:
        super().__init__(score_threshold, batch_size)
        import_mmdet()
        with trust_files(trust or trust_enabled()):
            loaded = load_model(checkpoint, device=device)
            pipeline = get_test_pipeline_cfg(loaded.cfg, str(checkpoint))
        self.classes = tuple(loaded.classes)
        # To mypy every attribute of an nn.Module is a tensor or a module.
        model: Any = loaded.model
        self.task = getattr(type(model), "task", DETECTION)
        self._device = device
        adapter_class: Any = (
            ClassificationAdapter if self.task == CLASSIFICATION else DetectionAdapter)
        self._adapter: TaskAdapter[Prediction] = adapter_class(model, pipeline, len(self.classes))

    def summary(self) -> str:
        """One line: library and device."""
        library = "torch" if self.task == CLASSIFICATION else "mmdet"
        return f"{library}, device {self._device}"

    def _predict(self, images: Iterator[Image]) -> list[Prediction]:
        """Inference in batches of consecutive images that the pipeline brings to one size.

        Images of different sizes never share a batch, so that the padding of a batch cannot change
        a prediction.
        """
        predictions: list[Prediction] = []
        pending: list[Prepared] = []
        for image in images:
            prepared = self._adapter.prepare(image)
            if pending and pending[0]["inputs"].shape != prepared["inputs"].shape:
                predictions += self._adapter.predict(pending, self.score_threshold)
                pending = []
            pending.append(prepared)
            if len(pending) == self._batch_size:
                predictions += self._adapter.predict(pending, self.score_threshold)
                pending = []
        return predictions + self._adapter.predict(pending, self.score_threshold)
