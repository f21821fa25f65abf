"""Where mmdet's dialect ends: RGB images in, ``DetDataSample`` inside, ``Detections`` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from mmengine.registry import DefaultScope
from numpy.typing import NDArray

from detkit.errors import ConfigError, DataError, WeightsError
from detkit.registry import SCOPE, TRANSFORMS
from detkit.structures.detections import Detections

Image = NDArray[np.uint8]
Prepared = dict[str, Any]


class StepModel(Protocol):
    """What is asked of a detector here: mmengine's ``test_step``."""

    def test_step(self, data: dict[str, Any]) -> Any: ...


class SampleAdapter:
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
        self, model: StepModel, pipeline: Sequence[Mapping[str, Any]], num_classes: int
    ) -> None:
        self._model = model
        self._num_classes = num_classes
        loaders = [step for step in pipeline if _is_loader(step)]
        self._as_float = any(step.get("to_float32", False) for step in loaders)
        with DefaultScope.overwrite_default_scope(SCOPE):
            self._steps = [_build(step) for step in pipeline if not _is_loader(step)]
        if not any("Pack" in type(step).__name__ for step in self._steps):
            raise ConfigError(
                "test_dataloader.dataset.pipeline",
                got=[type(step).__name__ for step in self._steps],
                expected="a last step that packs the inputs, such as PackDetInputs",
            )

    def prepare(self, image: Image) -> Prepared:
        """One image as the pipeline makes it: 'inputs' (3, h, w) BGR and its 'data_samples'.

        Args:
            image: (H, W, 3) uint8 RGB; not changed.

        Raises:
            DataError: the pipeline cannot deal with an image of this size.
        """
        size_hw = image.shape[:2]
        # mmdet's pipelines are written for BGR, as OpenCV reads it.
        bgr: NDArray[Any] = np.ascontiguousarray(image[..., ::-1])
        if self._as_float:
            bgr = bgr.astype(np.float32)
        results: Any = {
            "img": bgr,
            "img_id": 0,
            "img_path": None,
            "img_shape": size_hw,
            "ori_shape": size_hw,
            # Overwritten by a resize; a pipeline without one still has to scale back by it.
            "scale_factor": (1.0, 1.0),
        }
        with DefaultScope.overwrite_default_scope(SCOPE):
            for step in self._steps:
                name = type(step).__name__
                try:
                    results = step(results)
                except Exception as error:
                    raise DataError(
                        f"an image of {size_hw[1]}x{size_hw[0]} pixels (width x height) does not "
                        f"pass the test pipeline's {name}",
                        got=f"{type(error).__name__}: {error}",
                        expected="an image that can be resized to the model's input",
                    ) from error
                if results is None:
                    raise DataError(
                        f"an image of {size_hw[1]}x{size_hw[0]} pixels is refused by the test "
                        f"pipeline's {name}"
                    )
        prepared: Prepared = results
        return prepared

    def detect(self, prepared: Sequence[Prepared]) -> list[Detections]:
        """What the model finds, one for each of ``prepared``, whose inputs are of one size.

        Boxes are in pixels of the images as they were given, clipped to them, highest score
        first. No images give an empty list.

        Raises:
            WeightsError: the model gives nan, or a label beyond the checkpoint's classes.
        """
        if not prepared:
            return []
        batch = {
            "inputs": [one["inputs"] for one in prepared],
            "data_samples": [one["data_samples"] for one in prepared],
        }
        with torch.inference_mode(), DefaultScope.overwrite_default_scope(SCOPE):
            samples = self._model.test_step(batch)
        return [self._to_detections(sample) for sample in samples]

    def _to_detections(self, sample: Any) -> Detections:
        found = sample.pred_instances
        height, width = (int(side) for side in sample.ori_shape[:2])
        boxes = found.bboxes.detach().float().cpu().numpy().reshape(-1, 4)
        scores = found.scores.detach().float().cpu().numpy()
        labels = found.labels.detach().cpu().numpy().astype(np.int64)
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise WeightsError(
                "the model's boxes or scores are not finite numbers",
                do="train again with a lower learning rate, or use an earlier checkpoint",
            )
        if len(labels) and labels.max() >= self._num_classes:
            raise WeightsError(
                "the model's labels do not fit the classes that the checkpoint names",
                got=f"label {labels.max()}",
                expected=f"0..{self._num_classes - 1}",
            )
        boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
        boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
        order = np.argsort(-scores, kind="stable")
        return Detections(
            boxes[order], scores[order].clip(0, 1), labels[order], (height, width)
        )


def pipeline_of(cfg: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The test pipeline that a config carries, wrappers such as RepeatDataset opened.

    Raises:
        ConfigError: there is none.
    """
    dataset: Any = (cfg.get("test_dataloader") or {}).get("dataset")
    while isinstance(dataset, Mapping) and "pipeline" not in dataset:
        inner = dataset.get("dataset", dataset.get("datasets"))
        dataset = inner[0] if isinstance(inner, (list, tuple)) and inner else inner
    pipeline = dataset["pipeline"] if isinstance(dataset, Mapping) else cfg.get("test_pipeline")
    if not pipeline:
        raise ConfigError(
            "the checkpoint's config has no test pipeline",
            expected="test_dataloader.dataset.pipeline",
            do="use a checkpoint that was trained with a test_dataloader in its config",
        )
    return [dict(step) for step in pipeline]


def _is_loader(step: Mapping[str, Any]) -> bool:
    name = str(step.get("type", "")).rsplit(".", 1)[-1]
    return name.startswith("Load") or name == "FilterAnnotations"


def _build(step: Mapping[str, Any]) -> Any:
    try:
        return TRANSFORMS.build(dict(step))
    except Exception as error:
        raise ConfigError(
            f"test_dataloader.dataset.pipeline: the step {step.get('type')!r} cannot be built",
            got=f"{type(error).__name__}: {error}",
        ) from error
