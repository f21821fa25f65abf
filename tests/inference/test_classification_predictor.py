"""``Predictor`` with a classifier, against torchvision's preprocessing and the bare model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from class_checkpoint import CLASSES, save_class_thumbnail
from PIL import Image
from torchvision import transforms

from detkit import Classifications, Predictor
from detkit.engine.load_model import load_model
from detkit.errors import ConfigError, DataError, WeightsError


def smooth_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colored blobs, (height, width, 3) uint8 RGB."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def assert_same(first: Classifications, second: Classifications) -> None:
    assert first.size_hw == second.size_hw
    np.testing.assert_allclose(first.probabilities, second.probabilities, atol=1e-6)


def checkpoint_with_edited_config(checkpoint: Path, path: Path, old: str, new: str) -> Path:
    """A copy of the checkpoint with a replaced text in its config."""
    content = torch.load(checkpoint, weights_only=True)
    assert old in content["meta"]["cfg"]
    content["meta"]["cfg"] = content["meta"]["cfg"].replace(old, new)
    torch.save(content, path)
    return path


@pytest.mark.parametrize("size_hw", [(90, 160), (200, 120), (64, 64), (31, 57), (1, 1)], ids=str)
def test_scores_match_torchvision_preprocessing(
    class_thumbnail: Path, class_predictor: Predictor[Classifications], size_hw: tuple[int, int]
) -> None:
    image = smooth_image(*size_hw)
    model = load_model(class_thumbnail, "cpu").model
    steps = transforms.Compose([
        transforms.Resize(72, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(64),
        transforms.ToTensor(),
        # ImageNet's; the checkpoint has them for values of 0..255.
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    with torch.no_grad():
        maps = model.backbone(steps(Image.fromarray(image))[None])[-1]
        logits = maps.mean((2, 3)) @ model.head.fc.weight.T + model.head.fc.bias
    expected = torch.softmax(logits, 1)[0].numpy()
    prediction = class_predictor(image)
    assert isinstance(prediction, Classifications)
    assert prediction.size_hw == size_hw
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-5)


def test_task_and_classes_attributes(
    class_predictor: Predictor[Classifications], predictor: Predictor
) -> None:
    assert (class_predictor.task, class_predictor.classes) == ("classification", CLASSES)
    assert predictor.task == "detection"


def test_no_images_give_empty_list(class_predictor: Predictor[Classifications]) -> None:
    assert class_predictor([]) == []


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_batch_matches_single_images_in_order(
    class_thumbnail: Path, batch_size: int
) -> None:
    sizes = [(80, 120), (120, 80), (64, 64), (10, 10), (80, 120)]
    images = [smooth_image(*size, seed=seed) for seed, size in enumerate(sizes)]
    predictor = Predictor[Classifications](class_thumbnail, "cpu", batch_size=batch_size)
    together = predictor(images)
    assert [prediction.size_hw for prediction in together] == sizes
    for image, prediction in zip(images, together):
        assert_same(prediction, predictor(image))
    assert len({prediction.probabilities.tobytes() for prediction in together}) == len(sizes)


def test_images_of_different_input_sizes_keep_their_order(
    class_thumbnail: Path, tmp_path: Path
) -> None:
    step = "type='torchvision/CenterCrop'"
    with_size = checkpoint_with_edited_config(class_thumbnail, tmp_path / "a.pth",
                                              f"dict(size=64, {step})",
                                              "dict(type='torchvision/Identity')")
    predictor = Predictor[Classifications](with_size, "cpu")
    images = [smooth_image(80, 120), smooth_image(120, 80), smooth_image(80, 120, seed=2)]
    for image, prediction in zip(images, predictor(images)):
        assert_same(prediction, predictor(image))


def test_image_modes_and_exif_rotation_are_normalized(
    class_predictor: Predictor[Classifications], tmp_path: Path
) -> None:
    image = smooth_image(40, 60)
    Image.fromarray(image).save(tmp_path / "plain.png")
    Image.fromarray(image).convert("RGBA").save(tmp_path / "rgba.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored rotated by 90 degrees
    Image.fromarray(image).rotate(90, expand=True).save(tmp_path / "rotated.png", exif=exif)
    gray = np.array(Image.fromarray(image).convert("L"))
    Image.fromarray(gray).save(tmp_path / "gray.png")
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "sixteen.png")
    expected, from_gray = class_predictor([image, np.stack([gray] * 3, axis=-1)])
    for name in ("plain.png", "rgba.png", "rotated.png"):
        assert_same(class_predictor(tmp_path / name), expected)
    for name in ("gray.png", "sixteen.png"):
        assert_same(class_predictor(str(tmp_path / name)), from_gray)


def test_score_threshold_has_no_effect(
    class_thumbnail: Path, class_predictor: Predictor[Classifications]
) -> None:
    strict = Predictor[Classifications](class_thumbnail, "cpu", score_threshold=1.0)
    assert_same(strict(smooth_image(80, 120)), class_predictor(smooth_image(80, 120)))


def test_input_is_unchanged_and_any_memory_order_works(
    class_predictor: Predictor[Classifications]
) -> None:
    image = smooth_image(60, 90)
    image.flags.writeable = False
    expected = class_predictor(image)
    assert_same(class_predictor(np.asfortranarray(image)), expected)
    assert np.array_equal(image, smooth_image(60, 90))


@pytest.mark.parametrize("size_hw", [(1, 20000), (20000, 1), (2, 60000)], ids=str)
def test_extreme_aspect_ratio_is_rejected(
    class_predictor: Predictor[Classifications], size_hw: tuple[int, int]
) -> None:
    # With a shorter side of 72 pixels 1 x 20000 becomes 72 x 1440000, 311 MB.
    message = r"20000|60000.* shorter side of 72 pixels .* expected at most 932067; cut it"
    with pytest.raises(DataError, match=message):
        class_predictor(np.zeros((*size_hw, 3), np.uint8))


@pytest.mark.parametrize("size_hw", [(4, 3000), (3000, 4)], ids=str)
def test_long_thin_images_are_classified(
    class_predictor: Predictor[Classifications], size_hw: tuple[int, int]
) -> None:
    assert class_predictor(np.zeros((*size_hw, 3), np.uint8)).size_hw == size_hw


def test_invalid_image_raises_data_error(class_predictor: Predictor[Classifications]) -> None:
    with pytest.raises(DataError, match=r"array of shape \(5, 5\)"):
        class_predictor(np.zeros((5, 5), np.uint8))


def test_head_with_wrong_num_classes_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="got 7 classes, expected 6"):
        Predictor(save_class_thumbnail(tmp_path / "a.pth", num_classes=7), "cpu")


def test_nan_probabilities_raise_weights_error(class_thumbnail: Path, tmp_path: Path) -> None:
    content = torch.load(class_thumbnail, weights_only=True)
    content["state_dict"]["head.fc.bias"][2] = float("nan")
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="not finite"):
        Predictor(tmp_path / "a.pth", "cpu")(smooth_image(64, 64))


@pytest.mark.parametrize("old, new, message", [
    ("interpolation='bicubic', size=72, type='torchvision/Resize'",
     "scale=(72, 72), type='Resize'", "'Resize' is a detector's and works on arrays"),
    ("type='PackInputs'", "type='PackDetInputs'", "'PackDetInputs' is a detector's"),
    ("dict(type='PackInputs')", "dict(type='torchvision/Identity')",
     "expected a last step that packs the inputs, such as PackInputs"),
    ("size=72, type='torchvision/Resize'", "sise=72, type='torchvision/Resize'", "cannot be built"),
], ids=["resize", "pack", "no-pack", "argument"])
def test_invalid_pipeline_raises_config_error(
    class_thumbnail: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Predictor(checkpoint_with_edited_config(class_thumbnail, tmp_path / "a.pth", old, new),
                  "cpu")
