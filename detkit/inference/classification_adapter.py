"""RGB images in, ``DataSample`` inside, ``Classifications`` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from detkit.config.validate.file_config import PIPELINE_KEY
from detkit.errors import ConfigError, WeightsError
from detkit.inference.image_pipeline import ImagePipeline
from detkit.inference.predictor_protocol import Image, Prepared, TestStepModel, run_test_step
from detkit.structures.classifications import Classifications

# Their transforms work on arrays, ours on Pillow's pictures; mmcv's wrappers work on anything.
ARRAY_TRANSFORM_PACKAGES = ("mmdet", "mmcv")
WRAPPERS_MODULE = "mmcv.transforms.wrappers"


class ClassificationAdapter:
    """Feed images through a config's test pipeline to a classifier, and read its probabilities.

    Args:
        model: the classifier, in eval mode, on its device.
        pipeline: the test pipeline, of steps that work on Pillow's pictures; what loads images
            in it is left out, since the images come as arrays.
        num_classes: the number of classes that the checkpoint names.

    Raises:
        ConfigError: a step of the pipeline cannot be built or works on arrays, or none packs
            the inputs.
        WeightsError: the model's head has another number of classes.
    """

    def __init__(
        self, model: TestStepModel, pipeline: Sequence[Mapping[str, Any]], num_classes: int
    ) -> None:
        self._model = model
        self._num_classes = num_classes
        self._pipeline = ImagePipeline(pipeline, packer="PackInputs")
        for step in self._pipeline.steps:
            _check_image_transform(step)
        self._check_count(getattr(getattr(model, "head", None), "num_classes", num_classes))

    def prepare(self, image: Image) -> Prepared:
        """One image as the pipeline makes it: 'inputs' (3, h, w) RGB and its 'data_samples'.

        Args:
            image: (H, W, 3) uint8 RGB; not changed.

        Raises:
            DataError: the pipeline cannot deal with an image of this size.
        """
        size_hw = (image.shape[0], image.shape[1])
        results = {
            "img": PillowImage.fromarray(np.ascontiguousarray(image)),
            "img_path": None,
            "img_shape": size_hw,
            "ori_shape": size_hw,
            "sample_idx": 0,
        }
        prepared = self._pipeline(results, size_hw)
        # Said here, so that it does not hang on what the steps leave of it.
        prepared["data_samples"].set_metainfo({"ori_shape": size_hw})
        return prepared

    def predict(
        self, prepared: Sequence[Prepared], score_threshold: float = 0.0
    ) -> list[Classifications]:
        """The probabilities of all classes, for each of ``prepared``, whose inputs are of one size.

        ``score_threshold`` has no effect: a classifier always answers. No images give an empty
        list.

        Raises:
            WeightsError: the model gives nan, or another number of classes than the checkpoint
                names.
        """
        return [self._to_scores(sample) for sample in run_test_step(self._model, prepared)]

    def _to_scores(self, sample: Any) -> Classifications:
        height, width = (int(side) for side in sample.ori_shape[:2])
        probabilities = sample.pred_scores.detach().float().cpu().numpy()
        if not np.isfinite(probabilities).all():
            raise WeightsError(
                "the model's probabilities are not finite numbers",
                hint="train again with a lower learning rate, or use an earlier checkpoint",
            )
        self._check_count(probabilities.size)
        return Classifications(probabilities.clip(0, 1), (height, width))

    def _check_count(self, count: int) -> None:
        if count != self._num_classes:
            raise WeightsError(
                "the model's classes do not fit those that the checkpoint names",
                got=f"{count} classes",
                expected=self._num_classes,
            )


def _check_image_transform(step: object) -> None:
    step_type = type(step)
    if step_type.__module__.split(
            ".")[0] in ARRAY_TRANSFORM_PACKAGES and step_type.__module__ != WRAPPERS_MODULE:
        raise ConfigError(
            f"{PIPELINE_KEY}: the step {step_type.__name__!r} is a detector's and works on arrays",
            expected="steps that work on Pillow's pictures, as a classifier's are",
            hint="use torchvision/Resize, torchvision/CenterCrop and the like, and PackInputs",
        )
