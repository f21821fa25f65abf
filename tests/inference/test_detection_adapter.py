"""The adapter between a test pipeline, a detector and ``Detections``."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from detkit.config.pipeline_cfg import get_test_pipeline_cfg
from detkit.errors import ConfigError, WeightsError
from detkit.inference.detection_adapter import DetectionAdapter

RESIZE = {"type": "Resize", "scale": (64, 64), "keep_ratio": True}
PACK = {"type": "PackDetInputs", "meta_keys": ("ori_shape", "img_shape", "scale_factor")}


class FakeModel:
    """A model with fixed outputs."""

    def __init__(self, boxes, scores, labels) -> None:
        self.detections = SimpleNamespace(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            scores=torch.tensor(scores, dtype=torch.float32),
            labels=torch.tensor(labels, dtype=torch.int64),
        )

    def test_step(self, data):
        return [
            SimpleNamespace(pred_instances=self.detections, ori_shape=sample.ori_shape)
            for sample in data["data_samples"]
        ]


def run_adapter(model: FakeModel, size_hw=(10, 20), num_classes=2):
    adapter = DetectionAdapter(model, [RESIZE, PACK], num_classes)
    return adapter.predict([adapter.prepare(np.zeros((*size_hw, 3), np.uint8))])[0]


def test_no_detections_keep_image_size() -> None:
    detections = run_adapter(FakeModel([], [], []))
    assert len(detections) == 0 and detections.size_hw == (10, 20)


def test_boxes_are_clipped_and_sorted_by_score() -> None:
    detections = run_adapter(FakeModel([[-3, 2, 25, 11], [30, 1, 40, 5]], [0.2, 0.9], [0, 1]))
    # The second box is right of the image, whose width is 20, and is clipped to a line at 20.
    assert detections.boxes_xyxy.tolist() == [[20, 1, 20, 5], [0, 2, 20, 10]]
    assert detections.labels.tolist() == [1, 0]


@pytest.mark.parametrize("boxes, scores, labels, message", [
    ([[0, 0, 1, float("nan")]], [0.5], [0], "not finite"),
    ([[0, 0, 1, 1]], [float("inf")], [0], "not finite"),
    ([[0, 0, 1, 1]], [0.5], [2], "got label 2, expected 0..1"),
], ids=["nan-box", "inf-score", "label"])
def test_non_finite_or_unknown_labels_raise_weights_error(
    boxes, scores, labels, message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        run_adapter(FakeModel(boxes, scores, labels))


def test_prepare_gives_resized_bgr() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    image[..., 0] = 200  # red
    load = {"type": "mmdet.LoadImageFromFile", "to_float32": True}
    annotations = {"type": "LoadAnnotations", "with_bbox": True}
    prepared = DetectionAdapter(FakeModel([], [], []), [load, RESIZE, annotations, PACK],
                                1).prepare(image)
    assert prepared["inputs"].dtype == torch.float32
    # The width of 20 is resized to 64, the height of 10 to 32.
    assert prepared["inputs"].shape == (3, 32, 64)
    assert prepared["inputs"].amax(dim=(1, 2)).tolist() == [0, 0, 200]
    assert prepared["data_samples"].scale_factor == (3.2, 3.2)


def test_pipeline_without_resize_keeps_image_size() -> None:
    prepared = DetectionAdapter(FakeModel([], [], []), [PACK],
                                1).prepare(np.zeros((9, 7, 3), np.uint8))
    assert prepared["inputs"].shape == (3, 9, 7)
    assert prepared["data_samples"].scale_factor == (1.0, 1.0)


@pytest.mark.parametrize("pipeline, message", [
    ([RESIZE], "Pack"), ([], "Pack"), ([{"type": "Rezise"}, PACK], "'Rezise' cannot be built"),
    ([{"type": "Resize", "scales": 3}, PACK], "'Resize' cannot be built"),
], ids=["no-pack", "empty", "typo", "argument"])
def test_invalid_pipeline_raises_config_error(pipeline, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DetectionAdapter(FakeModel([], [], []), pipeline, 1)


@pytest.mark.parametrize("cfg", [
    {"test_dataloader": {"dataset": {"pipeline": [RESIZE]}}},
    {"test_dataloader": {"dataset": {"type": "RepeatDataset", "dataset": {"pipeline": [RESIZE]}}}},
    {"test_dataloader": {"dataset": {"datasets": [{"pipeline": [RESIZE]}]}}},
    {"test_pipeline": [RESIZE]},
    {"test_pipeline": [{"type": "CachedSteps", "transforms": [RESIZE]}]},
], ids=["plain", "wrapped", "several", "name-only", "cached"])
def test_test_pipeline_is_found_in_config(cfg) -> None:
    assert get_test_pipeline_cfg(cfg) == [RESIZE]


@pytest.mark.parametrize("cfg", [
    {}, {"test_dataloader": None}, {"test_dataloader": {"dataset": {"pipeline": []}}},
], ids=["empty", "none", "no-steps"])
def test_missing_test_pipeline_raises_config_error(cfg) -> None:
    with pytest.raises(ConfigError, match="no test pipeline"):
        get_test_pipeline_cfg(cfg)
