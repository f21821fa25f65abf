"""Between a predictor and a model: RGB images in, predictions of one task out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from detkit.errors import WeightsError
from detkit.inference.image_pipeline import ImagePipeline
from detkit.inference.predictor_protocol import Image
from detkit.inference.run_test_step import Prepared, TestStepModel, run_test_step

Prediction = TypeVar("Prediction")


class TaskAdapter(ABC, Generic[Prediction]):
    """Run images through a config's test pipeline and a model of one task.

    Args:
        model: the model, in eval mode, on its device.
        pipeline: the test pipeline; its loading steps are skipped, since the images are arrays.
        num_classes: number of classes that the checkpoint names.

    Raises:
        ConfigError: a step of the pipeline cannot be built, or none packs the inputs.
        WeightsError: the model has another number of classes.
    """

    packer: ClassVar[str]  # the packing step of this task's pipelines

    def __init__(
        self, model: TestStepModel, pipeline: Sequence[Mapping[str, Any]], num_classes: int
    ) -> None:
        self._model = model
        self._num_classes = num_classes
        self._pipeline = ImagePipeline(pipeline, self.packer)

    def prepare(self, image: Image) -> Prepared:
        """Run the test pipeline on one image.

        Args:
            image: (H, W, 3) uint8 RGB; not changed.

        Returns:
            'inputs' (3, h, w), in the channel order of the pipeline, and their 'data_samples'.

        Raises:
            DataError: a step of the pipeline fails on this image.
        """
        size_hw = (image.shape[0], image.shape[1])
        results = {"img_path": None, "img_shape": size_hw, "ori_shape": size_hw,
                   **self._loaded(image)}
        return self._pipeline(results, size_hw)

    def predict(
        self, prepared: Sequence[Prepared], score_threshold: float = 0.0
    ) -> list[Prediction]:
        """Run the model on one batch.

        Args:
            prepared: what `prepare` returned for each image; inputs of one shape.
            score_threshold: detections below it are dropped; no effect on classifiers.

        Returns:
            One prediction per image; an empty list for no images.

        Raises:
            WeightsError: the model's outputs are not finite, or do not match the checkpoint's
                classes.
        """
        return [self._to_prediction(sample, score_threshold)
                for sample in run_test_step(self._model, prepared)]

    @abstractmethod
    def _loaded(self, image: Image) -> dict[str, Any]:
        """What the pipeline's loading steps would have added for ``image``."""

    @abstractmethod
    def _to_prediction(self, sample: Any, score_threshold: float) -> Prediction:
        """The prediction in a data sample of the model."""

    def _check_num_classes(self, num_classes: int) -> None:
        if num_classes != self._num_classes:
            raise WeightsError(
                "the model's number of classes differs from the checkpoint's class names",
                got=f"{num_classes} classes",
                expected=self._num_classes,
            )
