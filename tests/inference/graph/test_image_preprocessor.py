"""The preprocessor's output equals that of mmdet's."""

from typing import Any

import numpy as np
import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor

from detkit.errors import ExportError
from detkit.inference.graph.image_preprocessor import ImagePreprocessor

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


@pytest.mark.parametrize("settings", [
    dict(mean=MEAN, std=STD, bgr_to_rgb=True),
    dict(mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395], bgr_to_rgb=False),
    dict(bgr_to_rgb=True),
    dict(mean=MEAN, std=STD, bgr_to_rgb=True, pad_value=3),
], ids=["rgb", "bgr", "not_normalized", "other_padding"])
def test_pixels_equal_mmdet_bit_for_bit(settings: dict[str, Any]) -> None:
    preprocessor = DetDataPreprocessor(pad_size_divisor=32, **settings)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    image_hw = [(50, 96), (64, 1)]
    inputs = [torch.from_numpy(image[:height, :width, ::-1].copy()).permute(2, 0, 1)
              for image, (height, width) in zip(images, image_hw)]
    expected = preprocessor(dict(inputs=inputs), training=False)["inputs"]
    actual = ImagePreprocessor(preprocessor)(torch.from_numpy(images), torch.tensor(image_hw))
    assert torch.equal(actual, expected)


def test_other_preprocessor_raises_export_error() -> None:
    with pytest.raises(ExportError, match="data_preprocessor"):
        ImagePreprocessor(torch.nn.Identity())
