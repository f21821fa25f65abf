"""mmdet's augmentations with boxes and without masks, on real images."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from painted_boxes import blood_cells, make_results, painted
from scipy import ndimage

from detkit.data.transforms.geometric_transforms import project_boxes
from detkit.errors import ConfigError
from detkit.registry import TRANSFORMS

NUMBERS = (1, 50, 200)
GEOMETRIC = {
    "Rotate": dict(level=10, prob=1.0, img_border_value=0),
    "ShearX": dict(level=10, prob=1.0, img_border_value=0),
    "ShearY": dict(level=10, prob=1.0, img_border_value=0),
    "TranslateX": dict(level=10, prob=1.0, img_border_value=0),
    "TranslateY": dict(level=10, prob=1.0, img_border_value=0),
    "RandomAffine": dict(scaling_ratio_range=(0.8, 1.5), border_val=(0, 0, 0)),
    "CenterCrop": dict(crop_size=(300, 250)),
    "RandomCrop": dict(crop_size=(300, 250)),
    "RandomFlip": dict(prob=1.0),
    "RandomShift": dict(prob=1.0),
    "Expand": dict(prob=1.0, mean=(0, 0, 0)),
}


def white_areas(image: np.ndarray) -> np.ndarray:
    """(N, 4) xyxy of the connected white areas."""
    labels, _ = ndimage.label(image[..., 0] > 127)
    return np.array([[x.start, y.start, x.stop, y.stop]
                     for y, x in ndimage.find_objects(labels)]).reshape(-1, 4)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_boxes_surround_what_is_visible_of_the_objects(name, shared_data):
    transform = TRANSFORMS.build(dict(type=name, **GEOMETRIC[name]))
    # The corner of a shape at 4 degrees to the border is thinner than a pixel for 14 pixels.
    limit = 15 if name == "RandomAffine" else 3
    total = 0
    for seed, number in enumerate(NUMBERS * 2):
        np.random.seed(seed)
        results = transform(painted(blood_cells(shared_data, number)))
        boxes, areas = results["gt_bboxes"].tensor.numpy(), white_areas(results["img"])
        assert results["img_shape"] == results["img"].shape[:2]
        assert len(boxes) == len(results["gt_bboxes_labels"]) == len(results["gt_ignore_flags"])
        distance = np.abs(boxes[:, None] - areas[None]).max(axis=2)  # (boxes, areas)
        assert (distance.min(axis=1) < limit).all()
        sizes = (areas[:, 2:] - areas[:, :2]).min(axis=1)
        assert (distance.min(axis=0)[sizes > 3] < limit).all()
        total += len(boxes)
    assert total > 10


def test_projected_box_by_hand():
    # x' = x + y: the corners of (15, 0, 20, 10) go to (15, 0), (20, 0), (30, 10) and (25, 10).
    # Of that shape an image of 20 x 20 shows the triangle (15, 0), (20, 0), (20, 5).
    shear = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    boxes = np.array([[15, 0, 20, 10], [0, 0, 5, 5], [18, 15, 20, 20]], np.float32)
    assert project_boxes(boxes, shear, (20, 20)).tolist() == [
        [15, 0, 20, 5], [0, 0, 10, 5], [0, 0, 0, 0]]
    assert project_boxes(boxes[:0], shear, (20, 20)).shape == (0, 4)


@pytest.mark.parametrize("name", ["AutoContrast", "Equalize", "Posterize", "YOLOXHSVRandomAug"])
def test_float_images_get_the_colors_of_bytes(name, shared_data):
    args = {} if name.startswith("YOLOX") else dict(prob=1.0, level=5)
    transform = TRANSFORMS.build(dict(type=name, **args))
    image = blood_cells(shared_data, 1)["img"]
    for seed in range(4):
        expected, actual = [], []
        for outputs, dtype in ((expected, np.uint8), (actual, np.float32)):
            np.random.seed(seed)
            outputs.append(transform(make_results(image.astype(dtype)))["img"])
        assert actual[0].dtype == np.float32 and (actual[0] == expected[0]).all()


def _mixed(name: str, target: dict[str, Any], source: dict[str, Any], **args: Any) -> Any:
    transform = TRANSFORMS.build(dict(type=name, **args))
    if name.startswith("Cached"):
        transform(source)
        return transform(target)
    return transform({**target, "mix_results": [source]})


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("name", ["MixUp", "CachedMixUp"])
def test_mixup_by_hand(name, dtype):
    source_image = np.zeros((40, 40, 3), dtype)
    source_image[:10, :10] = 200
    for flip_ratio, left in ((0.0, 0), (1.0, 30)):
        source = make_results(source_image, [[0, 0, 10, 10]], [2])
        target = make_results(np.full((40, 40, 3), 50, dtype), [[5, 20, 15, 30]], [1])
        mixed = _mixed(name, target, source, img_scale=(40, 40), ratio_range=(1.0, 1.0),
                       flip_ratio=flip_ratio)
        assert mixed["gt_bboxes"].tensor.tolist() == [[5, 20, 15, 30], [left, 0, left + 10, 10]]
        assert mixed["gt_bboxes_labels"].tolist() == [1, 2]
        # The mean of 50 and 200 inside of the source's box, of 50 and 0 elsewhere.
        expected = np.full((40, 40, 3), 25)
        expected[:10, left:left + 10] = 125
        assert mixed["img"].dtype == dtype and (mixed["img"] == expected).all()


def test_mixup_is_left_out_with_its_probability():
    target, source = (make_results(np.full((8, 8, 3), value, np.uint8), [[0, 0, 4, 4]])
                      for value in (0, 200))
    assert len(_mixed("MixUp", target, source, prob=0.0)["gt_bboxes"]) == 1
    with pytest.raises(ConfigError, match="MixUp: prob: got 2"):
        TRANSFORMS.build(dict(type="MixUp", prob=2))


def test_copy_paste_keeps_bytes_and_removes_covered_boxes():
    source = make_results(np.full((30, 30, 3), 9, np.uint8), [[0, 0, 20, 20]], [1])
    target = make_results(np.zeros((30, 30, 3), np.uint8), [[2, 2, 9, 9], [22, 22, 29, 29]], [0, 0])
    pasted = _mixed("CopyPaste", target, source, selected=False, paste_by_box=True)
    # mmdet keeps (2, 2, 9, 9) as (0, 0, 0, 0), which is within 10 pixels of it.
    assert pasted["gt_bboxes"].tensor.tolist() == [[22, 22, 29, 29], [0, 0, 20, 20]]
    assert pasted["gt_bboxes_labels"].tolist() == [0, 1]
    assert pasted["img"].dtype == np.uint8 and pasted["img"][:, :, 0].sum() == 9 * 400


def test_copy_paste_errors_say_what_to_do():
    small, large = (make_results(np.zeros((side, side, 3), np.uint8), [[0, 0, 4, 4]])
                    for side in (20, 30))
    with pytest.raises(ConfigError, match="no masks; use CopyPasteBoxes"):
        _mixed("CopyPaste", small, copy.deepcopy(small))
    with pytest.raises(ConfigError, match="differ in size: got .30, 30, 3. and .20, 20, 3."):
        _mixed("CopyPaste", small, large, paste_by_box=True)
    with pytest.raises(ConfigError, match="no second image; .* MultiImageMixDataset"):
        TRANSFORMS.build(dict(type="CopyPaste"))(small)
