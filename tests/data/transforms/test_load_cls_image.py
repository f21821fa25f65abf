"""The first and the last step of a classifier's pipeline."""

import numpy as np
import pytest
import torch
from PIL import Image

from detkit.data.transforms.load_cls_image import LoadPicture
from detkit.data.transforms.pack_inputs import PackClassInputs
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
    return LoadPicture(**options)(results)


def edges(picture):
    """Left, top, right and bottom of the window that was cut out of the ramp."""
    pixels = np.asarray(picture)
    return (pixels[0, 0, 0], pixels[0, 0, 1], pixels[-1, -1, 0] + 1, pixels[-1, -1, 1] + 1)


def test_a_photograph_is_what_pillow_makes_of_it(shared_data):
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
    assert edges(results["img"]) == expected
    left, top, right, bottom = expected
    assert results["img_shape"] == (bottom - top, right - left)
    assert results["ori_shape"] == (20, 30)


def test_context_says_nothing_of_a_whole_picture(ramp):
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
def test_a_box_without_pixels_is_named_with_its_file(ramp, box, message):
    with pytest.raises(DataError, match=message):
        load(ramp, box)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="gone.png: no such image file"):
        load(tmp_path / "gone.png")


@pytest.mark.parametrize("context", [-0.1, float("inf"), "much"])
def test_a_context_that_is_no_share_is_refused(context):
    with pytest.raises(ConfigError, match="LoadPicture: context"):
        LoadPicture(context=context)


def test_packing_keeps_pixels_label_and_what_it_is_told(ramp):
    results = load(ramp, (5, 4, 9, 10)) | {"gt_label": 3, "sample_idx": 7}
    packed = PackClassInputs()(results)
    inputs, sample = packed["inputs"], packed["data_samples"]
    assert (inputs.dtype, inputs.shape) == (torch.uint8, (3, 6, 4))
    assert inputs[0, 0].tolist() == [5, 6, 7, 8] and inputs[1, :, 0].tolist() == [*range(4, 10)]
    assert (sample.gt_label.dtype, sample.gt_label.shape, int(sample.gt_label)) == (
        torch.int64, (), 3)
    assert (sample.img_path, sample.sample_idx, sample.ori_shape) == (str(ramp), 7, (20, 30))
    assert "box_xyxy" not in PackClassInputs(meta_keys=("img_path",))(results)["data_samples"]


def test_a_picture_without_label_is_packed_for_prediction(ramp):
    sample = PackClassInputs()(load(ramp))["data_samples"]
    assert "gt_label" not in sample and "sample_idx" not in sample


def test_a_tensor_is_packed_as_it_is():
    given = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
    assert torch.equal(PackClassInputs()({"img": given})["inputs"], given)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4, 3), np.uint8), torch.zeros(3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8),
     Image.new("L", (4, 4))],
    ids=["an array, perhaps BGR", "floats", "one channel", "grey"],
)
def test_packing_refuses_what_may_not_be_rgb(picture):
    with pytest.raises(ConfigError, match="PackClassInputs: .*expected a PIL picture in RGB"):
        PackClassInputs()({"img": picture})


def test_both_are_registered_and_say_their_arguments():
    assert repr(TRANSFORMS.build({"type": "LoadPicture", "context": 0.2})) == (
        "LoadPicture(context=0.2)")
    assert repr(TRANSFORMS.build({"type": "PackClassInputs", "meta_keys": "img_path"})) == (
        "PackClassInputs(meta_keys=('img_path',))")
