"""Pictures on canvases are those that mmdet's test pipeline makes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detkit.errors import ExportError
from detkit.inference.export.input_sizes import square
from detkit.inference.image_pipeline import ImagePipeline
from detkit.inference.letterbox import InputRule, fit, rule_from, rule_of

PACK = dict(type="PackDetInputs", meta_keys=("img_shape", "scale_factor"))
SIZES = [(48, 64), (64, 48), (97, 61), (480, 640), (7, 300), (1, 1), (1, 40), (30, 40)]
PADS: dict[str, Mapping[str, Any]] = {
    "fixed": dict(type="Pad", size=(96, 80), pad_val=dict(img=(10, 20, 30))),
    "grey": dict(type="Pad", size=(64, 64), pad_val=dict(img=114)),
    "divisor": dict(type="Pad", size_divisor=16),
    "square": dict(type="Pad", pad_to_square=True, pad_val=7),
}


def picture(size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)


def theirs(
    pipeline: Sequence[Mapping[str, Any]], image: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], Any]:
    """The pixels (h, w, 3) RGB and the record of mmdet's pipeline."""
    size_hw = image.shape[:2]
    results = dict(img=np.ascontiguousarray(image[..., ::-1]), img_shape=size_hw,
                   ori_shape=size_hw)
    done = ImagePipeline(pipeline, "PackDetInputs")(results, (size_hw[0], size_hw[1]))
    return done["inputs"].numpy().transpose(1, 2, 0)[..., ::-1], done["data_samples"]


@pytest.mark.parametrize("size_hw", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("settings", [
    dict(scale=(64, 48)), dict(scale=(64, 64)), dict(scale=(48, 64)), dict(scale=(33, 57)),
    dict(scale=(64, 48), interpolation="area"), dict(scale=(64, 48), interpolation="nearest"),
], ids=str)
def test_pixels_are_those_of_mmdets_resize(
    settings: dict[str, Any], size_hw: tuple[int, int]
) -> None:
    pipeline = [dict(type="LoadImageFromFile"),
                dict(settings, type="Resize", keep_ratio=True), PACK]
    image = picture(size_hw)
    rule = rule_of(pipeline, 32)
    fitted = fit(image, rule.canvas_for(size_hw), rule)
    if 0 in (int(side * min(max(rule.scale) / max(size_hw), min(rule.scale) / min(size_hw)) + 0.5)
             for side in size_hw):
        pytest.fail("a size that mmdet cannot resize")
    wanted, sample = theirs(pipeline, image)
    assert fitted.valid_hw == fitted.resized_hw == sample.img_shape
    assert fitted.scale_xy == sample.scale_factor
    high, wide = fitted.valid_hw
    assert np.array_equal(fitted.canvas[:high, :wide], wanted)
    assert not fitted.canvas[high:].any() and not fitted.canvas[:, wide:].any()
    assert not any(side % 32 for side in fitted.canvas.shape[:2])


@pytest.mark.parametrize("size_hw", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("pad", PADS)
def test_pixels_are_those_of_mmdets_pad(pad: str, size_hw: tuple[int, int]) -> None:
    pipeline = [dict(type="Resize", scale=(64, 64), keep_ratio=True), PADS[pad], PACK]
    image = picture(size_hw)
    rule = rule_of(pipeline, 1)
    fitted = fit(image, rule.canvas_for(size_hw), rule)
    wanted, sample = theirs(pipeline, image)
    assert fitted.valid_hw == sample.img_shape == fitted.canvas.shape[:2]
    assert fitted.scale_xy == sample.scale_factor
    assert np.array_equal(fitted.canvas, wanted)


def test_a_canvas_too_small_for_the_rule_takes_a_smaller_picture_of_the_same_shape() -> None:
    fitted = fit(picture((50, 100)), (32, 64), InputRule((200, 100)))
    assert fitted.valid_hw == (32, 64) and fitted.scale_xy == (0.64, 0.64)
    padded = rule_of([dict(type="Resize", scale=(64, 64), keep_ratio=True), PADS["grey"]], 1)
    fitted = fit(picture((50, 100)), (32, 32), padded)
    assert fitted.valid_hw == (32, 32) and fitted.resized_hw == (16, 32)
    assert (fitted.canvas[16:] == 114).all()


def test_a_larger_canvas_than_needed_is_black_beyond_the_picture() -> None:
    fitted = fit(np.full((50, 100, 3), 255, np.uint8), (96, 128), InputRule((100, 100)))
    assert fitted.valid_hw == (50, 100) and fitted.canvas.sum() == 255 * 50 * 100 * 3


def test_the_picture_itself_is_left_as_it_is() -> None:
    image = picture((48, 64))
    before = image.copy()
    fit(image, (48, 64), InputRule((64, 48))).canvas[:] = 0
    assert np.array_equal(image, before)


@pytest.mark.parametrize("pad", [None, *PADS])
def test_a_rule_comes_back_from_json_as_it_was(pad: str | None) -> None:
    steps = [dict(type="Resize", scale=(64, 48), keep_ratio=True)]
    rule = rule_of([*steps, *([PADS[pad]] if pad else [])], 32)
    assert rule_from(json.loads(json.dumps(asdict(rule)))) == rule


def test_for_another_size_a_fixed_border_changes_with_the_picture() -> None:
    steps = [dict(type="Resize", scale=(640, 640), keep_ratio=True),
             dict(type="Pad", size=(640, 640), pad_val=114)]
    assert rule_of(steps, 32).resized_to((320, 320)).canvas_for((480, 640)) == (320, 320)
    assert rule_of(steps[:1], 32).resized_to((320, 320)).canvas_for((480, 640)) == (256, 320)


def test_the_square_canvas_has_room_for_the_border() -> None:
    steps = [dict(type="Resize", scale=(600, 400), keep_ratio=True)]
    assert square(rule_of(steps, 32)) == (608, 608)
    assert square(rule_of([*steps, dict(type="Pad", size_divisor=128)], 32)) == (640, 640)


@pytest.mark.parametrize(("steps", "named"), [
    ([], "Resize: got none"),
    ([dict(type="Resize", scale=(64, 64))], "keep_ratio"),
    ([dict(type="Resize", scale_factor=0.5, keep_ratio=True)], "scale="),
    ([dict(type="Resize", scale=(64, 64), keep_ratio=True, backend="pillow")], "pillow"),
    ([dict(type="FixScaleResize", scale=(64, 64), keep_ratio=True)], "FixScaleResize"),
    ([dict(type="CenterCrop", crop_size=3)], "CenterCrop"),
    ([dict(type="Pad", size=(64, 64)), dict(type="Resize", scale=(64, 64), keep_ratio=True)],
     "step Resize"),
    ([dict(type="Resize", scale=(64, 64), keep_ratio=True),
      dict(type="Pad", size=(64, 64), padding_mode="edge")], "edge"),
], ids=str)
def test_a_pipeline_that_a_canvas_cannot_stand_for_is_refused(
    steps: list[dict[str, Any]], named: str
) -> None:
    with pytest.raises(ExportError, match=named):
        rule_of(steps, 32)
