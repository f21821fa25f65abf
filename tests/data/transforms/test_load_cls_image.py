"""The first and the last step of a classification pipeline."""

import numpy as np
import pytest
import torch
from PIL import Image

from detkit.data.transforms.load_cls_image import LoadClsImage
from detkit.data.transforms.pack_inputs import PackInputs
from detkit.errors import ConfigError, DataError
from detkit.registry import TRANSFORMS


@pytest.fixture
def ramp(tmp_path):
    """30 wide, 20 high; red is the column, green the row."""
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(30), np.arange(20)[:, None]
    path = tmp_path / "ramp.png"
    Image.fromarray(pixels).save(path)
    return path


def load(path, box=None, **options):
    results = {"img_path": str(path)}
    if box is not None:
        results["box_xyxy"] = box
    return LoadClsImage(**options)(results)


def crop_window(image):
    """Left, top, right and bottom of the window that was cut out of the ramp."""
    pixels = np.asarray(image)
    return (pixels[0, 0, 0], pixels[0, 0, 1], pixels[-1, -1, 0] + 1, pixels[-1, -1, 1] + 1)


def test_loaded_photo_equals_pillow_rgb(shared_data):
    paths = [path for path in sorted((shared_data / "photos").iterdir())
             if path.suffix in (".jpg", ".jpeg", ".png")]
    assert len(paths) >= 5
    for path in paths:
        results = load(path)
        with Image.open(path) as image:
            expected = image.convert("RGB")
        assert isinstance(results["img"], Image.Image) and results["img"].mode == "RGB"
        assert np.array_equal(np.asarray(results["img"]), np.asarray(expected)), path.name
        assert results["ori_shape"] == results["img_shape"] == (expected.height, expected.width)


@pytest.mark.parametrize(
    ("box", "context", "expected"),
    [
        ((5, 4, 9, 10), 0, (5, 4, 9, 10)),
        # Whole pixels that hold the box: floor and ceiling.
        ((5.5, 4.2, 8.1, 9.9), 0, (5, 4, 9, 10)),
        ((5.2, 4.2, 5.4, 4.4), 0, (5, 4, 6, 5)),
        # 0.5 * (4, 6) = (2, 3) to each side.
        ((5, 4, 9, 10), 0.5, (3, 1, 11, 13)),
        # 1 * (4, 6), clipped above: 4 - 6 < 0.
        ((5, 4, 9, 10), 1.0, (1, 0, 13, 16)),
        ((-8, -3, 40, 99), 0, (0, 0, 30, 20)),
    ],
    ids=["whole", "widened to pixels", "within a pixel", "context", "context clipped", "clipped"],
)
def test_a_box_is_cut_out(ramp, box, context, expected):
    results = load(ramp, box, context=context)
    assert crop_window(results["img"]) == expected
    left, top, right, bottom = expected
    assert results["img_shape"] == (bottom - top, right - left)
    assert results["ori_shape"] == (20, 30)


def test_context_is_ignored_without_a_box(ramp):
    assert load(ramp, context=2.0)["img"].size == (30, 20)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((5, 4, 5, 9), r"ramp.png: the box \(5, 4, 5, 9\) has no area"),
        ((9, 4, 5, 9), "has no area"),
        ((float("nan"), 4, 5, 9), "has no area"),
        ((5, 4, float("inf"), 9), "has no area"),
        ((30, 4, 35, 9), r"ramp.png: the box \(30, 4, 35, 9\) has no pixel .*30 x 20 pixels"),
        ((-9, -9, 0, 5), "has no pixel"),
    ],
)
def test_box_without_pixels_error_names_file_and_box(ramp, box, message):
    with pytest.raises(DataError, match=message):
        load(ramp, box)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="gone.png: no such image file"):
        load(tmp_path / "gone.png")


@pytest.mark.parametrize("context", [-0.1, float("inf"), "much"])
def test_invalid_context_raises_config_error(context):
    with pytest.raises(ConfigError, match="LoadClsImage: context"):
        LoadClsImage(context=context)


def test_packing_keeps_pixels_label_and_metainfo(ramp):
    results = load(ramp, (5, 4, 9, 10)) | {"gt_label": 3, "sample_idx": 7}
    packed = PackInputs()(results)
    inputs, sample = packed["inputs"], packed["data_samples"]
    assert (inputs.dtype, inputs.shape) == (torch.uint8, (3, 6, 4))
    assert inputs[0, 0].tolist() == [5, 6, 7, 8] and inputs[1, :, 0].tolist() == [*range(4, 10)]
    assert (sample.gt_label.dtype, sample.gt_label.shape, int(sample.gt_label)) == (
        torch.int64, (), 3)
    assert (sample.img_path, sample.sample_idx, sample.ori_shape) == (str(ramp), 7, (20, 30))
    assert "box_xyxy" not in PackInputs(meta_keys=("img_path",))(results)["data_samples"]


def test_a_image_without_label_is_packed_for_prediction(ramp):
    sample = PackInputs()(load(ramp))["data_samples"]
    assert "gt_label" not in sample and "sample_idx" not in sample


def test_uint8_tensor_is_packed_unchanged():
    given = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
    assert torch.equal(PackInputs()({"img": given})["inputs"], given)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4, 3), np.uint8), torch.zeros(3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8),
     Image.new("L", (4, 4))],
    ids=["an array, perhaps BGR", "floats", "one channel", "gray"],
)
def test_packing_non_rgb_input_raises_config_error(image):
    with pytest.raises(ConfigError, match="PackInputs: .*expected a PIL image in RGB"):
        PackInputs()({"img": image})


def test_transforms_are_registered_with_repr():
    assert repr(TRANSFORMS.build({"type": "LoadClsImage", "context": 0.2})) == (
        "LoadClsImage(context=0.2)")
    assert repr(TRANSFORMS.build({"type": "PackInputs", "meta_keys": "img_path"})) == (
        "PackInputs(meta_keys=('img_path',))")
