"""Where mmdet's dialect ends: RGB images in, ``DetDataSample`` inside, ``Detections`` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.inference.detection_postprocess import postprocess_detections
from detkit.inference.image_pipeline import ImagePipeline
from detkit.inference.predictor_protocol import Image, Prepared, TestStepModel, run_test_step
from detkit.structures.detections import Detections


class DetectionAdapter:
    """Feed images through a config's test pipeline to a detector, and read what it found.

    Args:
        model: the detector, in eval mode, on its device.
        pipeline: the test pipeline in mmdet's dialect; what loads images and annotations in it
            is left out, since the images come as arrays.
        num_classes: the number of classes that the checkpoint names.

    Raises:
        ConfigError: a step of the pipeline cannot be built, or none packs the inputs.
    """

    def __init__(
        self, model: TestStepModel, pipeline: Sequence[Mapping[str, Any]], num_classes: int
    ) -> None:
        self._model = model
        self._num_classes = num_classes
        self._pipeline = ImagePipeline(pipeline, packer="PackDetInputs")
        self._as_float = any(step.get("to_float32", False) for step in self._pipeline.loaders)

    def prepare(self, image: Image) -> Prepared:
        """One image as the pipeline makes it: 'inputs' (3, h, w) BGR and its 'data_samples'.

        Args:
            image: (H, W, 3) uint8 RGB; not changed.

        Raises:
            DataError: the pipeline cannot deal with an image of this size.
        """
        size_hw = (image.shape[0], image.shape[1])
        # mmdet's pipelines are written for BGR, as OpenCV reads it.
        bgr: NDArray[Any] = np.ascontiguousarray(image[..., ::-1])
        if self._as_float:
            bgr = bgr.astype(np.float32)
        results = {
            "img": bgr,
            "img_id": 0,
            "img_path": None,
            "img_shape": size_hw,
            "ori_shape": size_hw,
            # Overwritten by a resize; a pipeline without one still has to scale back by it.
            "scale_factor": (1.0, 1.0),
        }
        return self._pipeline(results, size_hw)

    def predict(
        self, prepared: Sequence[Prepared], score_threshold: float = 0.0
    ) -> list[Detections]:
        """What the model finds, one for each of ``prepared``, whose inputs are of one size.

        Boxes are in pixels of the images as they were given, clipped to them, highest score
        first; those below ``score_threshold`` are left out. No images give an empty list.

        Raises:
            WeightsError: the model gives nan, or a label beyond the checkpoint's classes.
        """
        samples = run_test_step(self._model, prepared)
        return [self._to_detections(sample).filter_by_score(score_threshold) for sample in samples]

    def _to_detections(self, sample: Any) -> Detections:
        instances = sample.pred_instances
        height, width = (int(side) for side in sample.ori_shape[:2])
        boxes = instances.bboxes.detach().float().cpu().numpy().reshape(-1, 4)
        scores = instances.scores.detach().float().cpu().numpy()
        labels = instances.labels.detach().cpu().numpy().astype(np.int64)
        return postprocess_detections(boxes, scores, labels, (height, width), self._num_classes)
