"""Detectors of mmdet's interface: ``DetDataSample`` in and out, BGR images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.inference.detection_postprocess import postprocess_detections
from detkit.inference.predictor_protocol import Image
from detkit.inference.run_test_step import TestStepModel
from detkit.inference.task_adapter import TaskAdapter
from detkit.structures.detections import Detections


class DetectionAdapter(TaskAdapter[Detections]):
    """`TaskAdapter` of detectors; boxes are in pixels of the input image, highest score first.

    ``prepare`` returns inputs in BGR order, as mmdet's pipelines expect images.
    """

    packer = "PackDetInputs"

    def __init__(
        self, model: TestStepModel, pipeline: Sequence[Mapping[str, Any]], num_classes: int
    ) -> None:
        super().__init__(model, pipeline, num_classes)
        self._as_float = any(step.get("to_float32", False) for step in self._pipeline.loaders)

    def _loaded(self, image: Image) -> dict[str, Any]:
        bgr: NDArray[Any] = np.ascontiguousarray(image[..., ::-1])
        if self._as_float:
            bgr = bgr.astype(np.float32)
        # A Resize overwrites the scale factor; a pipeline without one rescales boxes by it.
        return {"img": bgr, "img_id": 0, "scale_factor": (1.0, 1.0)}

    def _to_prediction(self, sample: Any, score_threshold: float) -> Detections:
        instances = sample.pred_instances
        height, width = (int(side) for side in sample.ori_shape[:2])
        boxes = instances.bboxes.detach().float().cpu().numpy().reshape(-1, 4)
        scores = instances.scores.detach().float().cpu().numpy()
        labels = instances.labels.detach().cpu().numpy().astype(np.int64)
        detections = postprocess_detections(
            boxes, scores, labels, (height, width), self._num_classes)
        return detections.filter_by_score(score_threshold)
