"""A classifier's predictor against the same steps by hand, and its word on what cannot be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from class_checkpoint import CLASSES, save_class_thumbnail
from PIL import Image
from torchvision import transforms

from detkit import ClassScores, Predictor
from detkit.engine.build_model import load_model
from detkit.errors import ConfigError, DataError, WeightsError


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth coloured blobs, (height, width, 3) uint8 RGB."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def assert_same(one: ClassScores, other: ClassScores) -> None:
    assert one.size_hw == other.size_hw
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)


def spoilt(checkpoint: Path, path: Path, old: str, new: str) -> Path:
    """The checkpoint with other words in its config."""
    content = torch.load(checkpoint, weights_only=True)
    assert old in content["meta"]["cfg"]
    content["meta"]["cfg"] = content["meta"]["cfg"].replace(old, new)
    torch.save(content, path)
    return path


@pytest.mark.parametrize("size_hw", [(90, 160), (200, 120), (64, 64), (31, 57), (1, 1)], ids=str)
def test_gives_what_the_same_steps_give_by_hand(
    class_thumbnail: Path, class_predictor: Predictor[ClassScores], size_hw: tuple[int, int]
) -> None:
    image = picture(*size_hw)
    model = load_model(class_thumbnail, "cpu").model
    steps = transforms.Compose([
        transforms.Resize(72, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(64),
        transforms.ToTensor(),
        # ImageNet's, which the checkpoint has in 0..255.
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    with torch.no_grad():
        maps = model.backbone(steps(Image.fromarray(image))[None])[-1]
        logits = maps.mean((2, 3)) @ model.head.fc.weight.T + model.head.fc.bias
    expected = torch.softmax(logits, 1)[0].numpy()
    found = class_predictor(image)
    assert isinstance(found, ClassScores)
    assert found.size_hw == size_hw
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)


def test_it_says_its_task_and_classes(
    class_predictor: Predictor[ClassScores], predictor: Predictor
) -> None:
    assert (class_predictor.task, class_predictor.classes) == ("classification", CLASSES)
    assert predictor.task == "detection"


def test_no_images_give_an_empty_list(class_predictor: Predictor[ClassScores]) -> None:
    assert class_predictor([]) == []


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_several_give_what_each_gives_alone_in_order(
    class_thumbnail: Path, batch_size: int
) -> None:
    sizes = [(80, 120), (120, 80), (64, 64), (10, 10), (80, 120)]
    images = [picture(*size, seed=seed) for seed, size in enumerate(sizes)]
    predictor = Predictor[ClassScores](class_thumbnail, "cpu", batch_size=batch_size)
    together = predictor(images)
    assert [found.size_hw for found in together] == sizes
    for image, found in zip(images, together):
        assert_same(found, predictor(image))
    assert len({found.probabilities.tobytes() for found in together}) == len(sizes)


def test_images_of_several_prepared_sizes_keep_their_order(
    class_thumbnail: Path, tmp_path: Path
) -> None:
    step = "type='torchvision/CenterCrop'"
    with_size = spoilt(class_thumbnail, tmp_path / "a.pth",
                       f"dict(size=64, {step})", "dict(type='torchvision/Identity')")
    predictor = Predictor[ClassScores](with_size, "cpu")
    images = [picture(80, 120), picture(120, 80), picture(80, 120, seed=2)]
    for image, found in zip(images, predictor(images)):
        assert_same(found, predictor(image))


def test_files_of_all_kinds_are_read_as_a_person_sees_them(
    class_predictor: Predictor[ClassScores], tmp_path: Path
) -> None:
    image = picture(40, 60)
    Image.fromarray(image).save(tmp_path / "plain.png")
    Image.fromarray(image).convert("RGBA").save(tmp_path / "rgba.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, to be turned clockwise
    Image.fromarray(image).rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    grey = np.array(Image.fromarray(image).convert("L"))
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "sixteen.png")
    expected, in_grey = class_predictor([image, np.stack([grey] * 3, axis=-1)])
    for name in ("plain.png", "rgba.png", "turned.png"):
        assert_same(class_predictor(tmp_path / name), expected)
    for name in ("grey.png", "sixteen.png"):
        assert_same(class_predictor(str(tmp_path / name)), in_grey)


def test_a_threshold_has_no_effect(
    class_thumbnail: Path, class_predictor: Predictor[ClassScores]
) -> None:
    strict = Predictor[ClassScores](class_thumbnail, "cpu", score_threshold=1.0)
    assert_same(strict(picture(80, 120)), class_predictor(picture(80, 120)))


def test_the_image_is_not_changed_and_any_memory_order_will_do(
    class_predictor: Predictor[ClassScores]
) -> None:
    image = picture(60, 90)
    image.flags.writeable = False
    expected = class_predictor(image)
    assert_same(class_predictor(np.asfortranarray(image)), expected)
    assert np.array_equal(image, picture(60, 90))


@pytest.mark.parametrize("size_hw", [(1, 20000), (20000, 1), (2, 60000)], ids=str)
def test_what_would_be_resized_to_gigabytes_is_refused(
    class_predictor: Predictor[ClassScores], size_hw: tuple[int, int]
) -> None:
    # To 72 pixels of the shorter side: 1 x 20000 becomes 72 x 1440000, 311 MB.
    message = r"is too long: resized to 72 pixels .* expected at most 932067; cut it"
    with pytest.raises(DataError, match=message):
        class_predictor(np.zeros((*size_hw, 3), np.uint8))


@pytest.mark.parametrize("size_hw", [(4, 3000), (3000, 4)], ids=str)
def test_long_and_thin_images_are_looked_at(
    class_predictor: Predictor[ClassScores], size_hw: tuple[int, int]
) -> None:
    assert class_predictor(np.zeros((*size_hw, 3), np.uint8)).size_hw == size_hw


def test_what_is_no_image_is_said(class_predictor: Predictor[ClassScores]) -> None:
    with pytest.raises(DataError, match=r"got shape \(5, 5\)"):
        class_predictor(np.zeros((5, 5), np.uint8))


def test_a_head_of_another_class_count_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="got 7 classes, expected 6"):
        Predictor(save_class_thumbnail(tmp_path / "a.pth", num_classes=7), "cpu")


def test_probabilities_that_are_no_numbers_are_said(class_thumbnail: Path, tmp_path: Path) -> None:
    content = torch.load(class_thumbnail, weights_only=True)
    content["state_dict"]["head.fc.bias"][2] = float("nan")
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="not finite"):
        Predictor(tmp_path / "a.pth", "cpu")(picture(64, 64))


@pytest.mark.parametrize("old, new, message", [
    ("interpolation='bicubic', size=72, type='torchvision/Resize'",
     "scale=(72, 72), type='Resize'", "'Resize' is a detector's and works on arrays"),
    ("type='PackClassInputs'", "type='PackDetInputs'", "'PackDetInputs' is a detector's"),
    ("dict(type='PackClassInputs')", "dict(type='torchvision/Identity')",
     "expected a last step that packs the inputs, such as PackClassInputs"),
    ("size=72, type='torchvision/Resize'", "sise=72, type='torchvision/Resize'", "cannot be built"),
], ids=["resize", "pack", "no-pack", "argument"])
def test_a_pipeline_that_cannot_work_is_said(
    class_thumbnail: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Predictor(spoilt(class_thumbnail, tmp_path / "a.pth", old, new), "cpu")
