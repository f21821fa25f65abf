"""Classifiers of mmpretrain's interface: ``DataSample`` in and out, PIL images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from detkit.config.validate.embedded_config import PIPELINE_KEY
from detkit.errors import ConfigError
from detkit.inference.detection_postprocess import check_finite
from detkit.inference.predictor_protocol import Image
from detkit.inference.run_test_step import Prepared, TestStepModel
from detkit.inference.task_adapter import TaskAdapter
from detkit.structures.classifications import Classifications

# The transforms of these packages work on arrays, a classifier's on PIL images; mmcv's wrappers
# (Compose, RandomApply, ...) work on anything.
ARRAY_TRANSFORM_PACKAGES = ("mmdet", "mmcv")
WRAPPERS_MODULE = "mmcv.transforms.wrappers"


class ClassificationAdapter(TaskAdapter[Classifications]):
    """`TaskAdapter` of classifiers; ``predict`` returns the probabilities of all classes.

    ``prepare`` returns inputs in RGB order.

    Raises:
        ConfigError: a step of the pipeline works on arrays instead of PIL images.
    """

    packer = "PackInputs"

    def __init__(
        self, model: TestStepModel, pipeline: Sequence[Mapping[str, Any]], num_classes: int
    ) -> None:
        super().__init__(model, pipeline, num_classes)
        for step in self._pipeline.steps:
            _check_image_transform(step)
        self._check_num_classes(
            getattr(getattr(model, "head", None), "num_classes", num_classes))

    def prepare(self, image: Image) -> Prepared:
        prepared = super().prepare(image)
        # Steps may drop or change it, and the size of the input image must not depend on them.
        prepared["data_samples"].set_metainfo({"ori_shape": image.shape[:2]})
        return prepared

    def _loaded(self, image: Image) -> dict[str, Any]:
        return {"img": PillowImage.fromarray(np.ascontiguousarray(image)), "sample_idx": 0}

    def _to_prediction(self, sample: Any, score_threshold: float) -> Classifications:
        height, width = (int(side) for side in sample.ori_shape[:2])
        probabilities = sample.pred_scores.detach().float().cpu().numpy()
        check_finite("probabilities", probabilities)
        self._check_num_classes(probabilities.size)
        return Classifications(probabilities.clip(0, 1), (height, width))


def _check_image_transform(step: object) -> None:
    step_type = type(step)
    package = step_type.__module__.split(".")[0]
    if package in ARRAY_TRANSFORM_PACKAGES and step_type.__module__ != WRAPPERS_MODULE:
        raise ConfigError(
            f"{PIPELINE_KEY}: the step {step_type.__name__!r} is a detector's and works on arrays",
            expected="steps that work on PIL images, as a classifier's do",
            hint="use torchvision/Resize, torchvision/CenterCrop and the like, and PackInputs",
        )
