"""The pipeline's first step, against mmdet's own on the same photograph."""

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from detkit.data.transforms.load_image import LoadImage
from detkit.errors import DataError
from detkit.registry import TRANSFORMS


def test_load_image_equals_mmcv_load_image_from_file(shared_data):
    path = str(shared_data / "photos" / "udacity_test1.jpg")
    result = TRANSFORMS.build({"type": "LoadImage"})({"img_path": path})
    expected = LoadImageFromFile()({"img_path": path})
    np.testing.assert_array_equal(result["img"], expected["img"])
    assert result["img"].flags.c_contiguous
    assert result["img_shape"] == expected["img_shape"] and result["ori_shape"] == expected[
        "ori_shape"]


def test_float_keeps_the_values(tmp_path):
    Image.new("RGB", (3, 2), (1, 2, 255)).save(tmp_path / "a.png")
    image = LoadImage(to_float32=True)({"img_path": str(tmp_path / "a.png")})["img"]
    assert image.dtype == np.float32 and image[0, 0].tolist() == [255.0, 2.0, 1.0]


def test_a_broken_image_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="a.jpg"):
        LoadImage()({"img_path": str(tmp_path / "a.jpg")})
