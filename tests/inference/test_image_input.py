"""Both predictors accept the same types of images, with equal detections for all of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from detkit import EnginePredictor, Predictor
from detkit.errors import DataError
from detkit.inference.image_input import load_image_array

ROTATED_90_CW = 6  # EXIF orientation of an image that is stored rotated by 90 degrees
INPUT_TYPES = ["path", "str path", "lazy PIL image", "PIL image", "array", "tensor"]


@pytest.fixture(scope="module", params=["Predictor", "EnginePredictor"])
def any_predictor(request: pytest.FixtureRequest, thumbnail: Path) -> Predictor | EnginePredictor:
    if request.param == "Predictor":
        return Predictor(thumbnail, "cpu", score_threshold=0.0)
    return EnginePredictor.from_checkpoint(
        thumbnail, engine="torch", precision="f32", device="cpu", score_threshold=0.0)


@pytest.fixture(scope="module")
def upright() -> np.ndarray:
    """(60, 90, 3) uint8 RGB; every channel has other values."""
    small = np.random.default_rng(5).integers(0, 256, (6, 8, 3), np.uint8)
    return np.array(Image.fromarray(small).resize((90, 60), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def inputs(upright: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The same image as each input type; the file is stored rotated, with an EXIF tag."""
    path = tmp_path_factory.mktemp("images") / "rotated.png"
    exif = Image.Exif()
    exif[0x0112] = ROTATED_90_CW
    Image.fromarray(upright).rotate(90, expand=True).save(path, exif=exif)
    return {
        "path": path, "str path": str(path), "lazy PIL image": Image.open(path),
        "PIL image": Image.fromarray(upright), "array": upright,
        "tensor": torch.from_numpy(upright.transpose(2, 0, 1).copy()),
    }


@pytest.mark.parametrize("input_type", INPUT_TYPES)
def test_every_input_type_gives_equal_detections(any_predictor, inputs, upright, input_type):
    expected = any_predictor(upright)
    assert len(expected) > 0
    assert any_predictor(inputs[input_type]) == expected
    assert any_predictor([inputs[input_type]]) == [expected]
    assert any_predictor((inputs[input_type],)) == [expected]


def test_list_of_different_types_keeps_its_order(any_predictor, inputs, upright):
    other = np.ascontiguousarray(upright[:, ::-1])
    detections = any_predictor([inputs["tensor"], other, inputs["path"], inputs["PIL image"]])
    for item in (detections[0], detections[2], detections[3]):
        np.testing.assert_allclose(item.scores, any_predictor(upright).scores, atol=1e-5)
    np.testing.assert_allclose(detections[1].scores, any_predictor(other).scores, atol=1e-5)


def test_array_is_read_as_rgb(any_predictor, upright):
    assert any_predictor(upright) != any_predictor(np.ascontiguousarray(upright[..., ::-1]))


@pytest.mark.parametrize("input_type", INPUT_TYPES)
def test_load_image_array_gives_upright_rgb(inputs, upright, input_type):
    array = load_image_array(inputs[input_type])
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, upright)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK", "I;16"])
def test_pil_modes_are_converted_as_in_files(upright, tmp_path, mode):
    gray = Image.fromarray(upright).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    else:
        image = Image.fromarray(upright).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(gray)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    np.testing.assert_array_equal(load_image_array(image), load_image_array(path))


def test_tensor_may_have_any_strides(upright):
    tensor = torch.from_numpy(upright).permute(2, 0, 1)
    np.testing.assert_array_equal(load_image_array(tensor), upright)
    np.testing.assert_array_equal(load_image_array(tensor[:, ::2, 5:]), upright[::2, 5:])


@pytest.mark.parametrize("image, got", [
    (np.zeros((0, 5, 3), np.uint8), r"an empty image of shape \(0, 5, 3\)"),
    (np.zeros((5, 0, 3), np.uint8), "an empty image"),
    (np.zeros((5, 5, 3), np.float32), "an array of float32"),
    (np.zeros((5, 5), np.uint8), r"an array of shape \(5, 5\)"),
    (np.zeros((5, 5, 4), np.uint8), r"an array of shape \(5, 5, 4\)"),
    (np.zeros((2, 5, 5, 3), np.uint8), "for several images, pass a list of arrays"),
    (torch.zeros(3, 5, 5), "a tensor of float32"),
    (torch.zeros(5, 5, 3, dtype=torch.uint8), r"a tensor of shape \(5, 5, 3\)"),
    (torch.zeros(2, 3, 5, 5, dtype=torch.uint8), "for several images, pass a list of tensors"),
    (torch.zeros(3, 0, 5, dtype=torch.uint8), "an empty image"),
    (Image.new("RGB", (0, 5)), r"an empty image of shape \(5, 0\)"),
    (Image.new("F", (5, 5)), "floating-point values"),
    (None, "got NoneType"),
    (7, "got int"),
    (b"jpeg", "got bytes"),
    ({"image": 1}, "got dict"),
    ([np.zeros((5, 5, 3), np.uint8), None], "image 1: got NoneType"),
    ("no_such_file.jpg", "no_such_file.jpg"),
], ids=["no-rows", "no-columns", "float", "gray", "rgba", "batch-array", "float-tensor",
        "hwc-tensor", "batch-tensor", "empty-tensor", "empty-pil", "float-pil", "none", "number",
        "bytes", "dict", "none-in-list", "missing-file"])
def test_invalid_image_raises_data_error(any_predictor, image, got):
    with pytest.raises(DataError, match=got):
        any_predictor(image)


def test_error_names_what_was_expected(any_predictor):
    expected = r"a path, a PIL image, an \(H, W, 3\) uint8 RGB array or a \(3, H, W\) uint8 RGB"
    for image in (5, [None], np.zeros((4, 4), np.uint8), torch.zeros(1)):
        with pytest.raises(DataError, match=expected):
            any_predictor(image)


def test_options_have_the_same_names(thumbnail):
    options = {"device": "cpu", "score_threshold": 0.25, "batch_size": 2, "trust": False}
    for predictor in (Predictor(thumbnail, **options),
                      EnginePredictor.from_checkpoint(checkpoint=thumbnail, **options)):
        assert (predictor.task, predictor.num_streams) == ("detection", 1)
        assert predictor.score_threshold == 0.25
        assert predictor.summary()
