"""Letterboxed images equal the output of mmdet's test pipeline."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detkit.errors import ExportError
from detkit.inference.export.input_sizes import square_input
from detkit.inference.image_pipeline import ImagePipeline
from detkit.inference.letterbox import (
    ResizeSpec,
    letterbox,
    resize_spec_from_dict,
    resize_spec_from_pipeline,
    resize_spec_to_dict,
)

PACK = dict(type="PackDetInputs", meta_keys=("img_shape", "scale_factor"))
SIZES = [(48, 64), (64, 48), (97, 61), (480, 640), (7, 300), (1, 1), (1, 40), (30, 40)]
PADS: dict[str, Mapping[str, Any]] = {
    "fixed": dict(type="Pad", size=(96, 80), pad_val=dict(img=(10, 20, 30))),
    "gray": dict(type="Pad", size=(64, 64), pad_val=dict(img=114)),
    "divisor": dict(type="Pad", size_divisor=16),
    "square": dict(type="Pad", pad_to_square=True, pad_val=7),
}


def random_image(size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)


def mmdet_output(
    pipeline: Sequence[Mapping[str, Any]], image: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], Any]:
    """The pixels (h, w, 3) RGB and the data sample of mmdet's pipeline."""
    size_hw = image.shape[:2]
    results = dict(img=np.ascontiguousarray(image[..., ::-1]), img_shape=size_hw,
                   ori_shape=size_hw)
    output = ImagePipeline(pipeline, "PackDetInputs")(results, (size_hw[0], size_hw[1]))
    return output["inputs"].numpy().transpose(1, 2, 0)[..., ::-1], output["data_samples"]


@pytest.mark.parametrize("size_hw", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("settings", [
    dict(scale=(64, 48)), dict(scale=(64, 64)), dict(scale=(48, 64)), dict(scale=(33, 57)),
    dict(scale=(64, 48), interpolation="area"), dict(scale=(64, 48), interpolation="nearest"),
], ids=str)
def test_resize_matches_mmdet(
    settings: dict[str, Any], size_hw: tuple[int, int]
) -> None:
    pipeline = [dict(type="LoadImageFromFile"),
                dict(settings, type="Resize", keep_ratio=True), PACK]
    image = random_image(size_hw)
    resize_spec = resize_spec_from_pipeline(pipeline, 32)
    letterboxed = letterbox(image, resize_spec.input_hw_for(size_hw), resize_spec)
    if 0 in (int(side *
                 min(max(resize_spec.scale) / max(size_hw),
                     min(resize_spec.scale) / min(size_hw)) + 0.5) for side in size_hw):
        pytest.fail("a size that mmdet cannot resize")
    expected, sample = mmdet_output(pipeline, image)
    assert letterboxed.image_hw == letterboxed.resized_hw == sample.img_shape
    assert letterboxed.scale_xy == sample.scale_factor
    height, width = letterboxed.image_hw
    assert np.array_equal(letterboxed.canvas[:height, :width], expected)
    assert not letterboxed.canvas[height:].any() and not letterboxed.canvas[:, width:].any()
    assert not any(side % 32 for side in letterboxed.canvas.shape[:2])


@pytest.mark.parametrize("size_hw", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("pad", PADS)
def test_padding_matches_mmdet(pad: str, size_hw: tuple[int, int]) -> None:
    pipeline = [dict(type="Resize", scale=(64, 64), keep_ratio=True), PADS[pad], PACK]
    image = random_image(size_hw)
    resize_spec = resize_spec_from_pipeline(pipeline, 1)
    letterboxed = letterbox(image, resize_spec.input_hw_for(size_hw), resize_spec)
    expected, sample = mmdet_output(pipeline, image)
    assert letterboxed.image_hw == sample.img_shape == letterboxed.canvas.shape[:2]
    assert letterboxed.scale_xy == sample.scale_factor
    assert np.array_equal(letterboxed.canvas, expected)


def test_small_input_shrinks_image_keeping_aspect_ratio() -> None:
    letterboxed = letterbox(random_image((50, 100)), (32, 64), ResizeSpec((200, 100)))
    assert letterboxed.image_hw == (32, 64) and letterboxed.scale_xy == (0.64, 0.64)
    padded = resize_spec_from_pipeline(
        [dict(type="Resize", scale=(64, 64), keep_ratio=True), PADS["gray"]], 1)
    letterboxed = letterbox(random_image((50, 100)), (32, 32), padded)
    assert letterboxed.image_hw == (32, 32) and letterboxed.resized_hw == (16, 32)
    assert (letterboxed.canvas[16:] == 114).all()


def test_larger_input_than_needed_is_black_outside_image() -> None:
    letterboxed = letterbox(np.full((50, 100, 3), 255, np.uint8), (96, 128), ResizeSpec((100, 100)))
    assert letterboxed.image_hw == (50, 100) and letterboxed.canvas.sum() == 255 * 50 * 100 * 3


def test_letterbox_does_not_change_its_input() -> None:
    image = random_image((48, 64))
    before = image.copy()
    letterbox(image, (48, 64), ResizeSpec((64, 48))).canvas[:] = 0
    assert np.array_equal(image, before)


@pytest.mark.parametrize("pad", [None, *PADS])
def test_resize_spec_round_trips_through_json(pad: str | None) -> None:
    steps = [dict(type="Resize", scale=(64, 48), keep_ratio=True)]
    resize_spec = resize_spec_from_pipeline([*steps, *([PADS[pad]] if pad else [])], 32)
    text = json.dumps(resize_spec_to_dict(resize_spec))
    assert resize_spec_from_dict(json.loads(text)) == resize_spec


def test_with_scale_scales_fixed_padding() -> None:
    steps = [dict(type="Resize", scale=(640, 640), keep_ratio=True),
             dict(type="Pad", size=(640, 640), pad_val=114)]
    assert resize_spec_from_pipeline(steps, 32).with_scale((320, 320)).input_hw_for(
        (480, 640)) == (320, 320)
    assert resize_spec_from_pipeline(steps[:1], 32).with_scale((320, 320)).input_hw_for(
        (480, 640)) == (256, 320)


def test_square_input_includes_padding() -> None:
    steps = [dict(type="Resize", scale=(600, 400), keep_ratio=True)]
    assert square_input(resize_spec_from_pipeline(steps, 32)) == (608, 608)
    assert square_input(resize_spec_from_pipeline(
        [*steps, dict(type="Pad", size_divisor=128)], 32)) == (640, 640)


@pytest.mark.parametrize(("steps", "message"), [
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
def test_unsupported_pipeline_is_rejected(
    steps: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        resize_spec_from_pipeline(steps, 32)
