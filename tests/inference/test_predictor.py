"""The predictor against mmdet's own inference on the same weights, and its word on bad input."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from thumbnail_checkpoint import CLASSES, CONFIG

from detkit import Detections, Predictor
from detkit.errors import DataError, DetkitError


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth coloured blobs, (height, width, 3) uint8 RGB."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def assert_same(one: Detections, other: Detections) -> None:
    assert one.size_hw == other.size_hw
    assert np.array_equal(one.labels, other.labels)
    np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy, atol=1e-3)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)


@pytest.mark.parametrize("size_hw", [(90, 160), (200, 120), (96, 96), (31, 57)], ids=str)
def test_finds_what_mmdets_own_inference_finds(
    thumbnail: Path, predictor: Predictor, tmp_path: Path, size_hw: tuple[int, int]
) -> None:
    from mmdet.apis import inference_detector, init_detector
    from mmengine.config import Config

    config = Config.fromstring(CONFIG, ".py")
    config.default_scope = "mmdet"
    model = init_detector(config, str(thumbnail), palette="random", device="cpu")
    image = picture(*size_hw)
    Image.fromarray(image).save(tmp_path / "a.png")
    # From a file mmdet reads BGR itself, so that the order of colours is checked, too.
    theirs = inference_detector(model, str(tmp_path / "a.png")).pred_instances
    ours = predictor(image)
    assert len(ours) == len(theirs) > 0
    order = np.argsort(-theirs.scores.numpy(), kind="stable")
    np.testing.assert_allclose(ours.scores, theirs.scores.numpy()[order], atol=1e-5)
    assert np.array_equal(ours.labels, theirs.labels.numpy()[order])
    height, width = size_hw
    clipped = theirs.bboxes.numpy()[order].clip(0, [width, height, width, height])
    np.testing.assert_allclose(ours.boxes_xyxy, clipped, atol=1e-3)


def test_no_images_give_an_empty_list(predictor: Predictor) -> None:
    assert predictor([]) == []
    assert predictor(()) == []


def test_paths_and_arrays_give_the_same(predictor: Predictor, tmp_path: Path) -> None:
    image = picture(80, 120)
    Image.fromarray(image).save(tmp_path / "a.png")
    expected = predictor(image)
    for way in (tmp_path / "a.png", str(tmp_path / "a.png"), [image], (tmp_path / "a.png",)):
        found = predictor(way)
        assert_same(found[0] if isinstance(found, list) else found, expected)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_a_batch_gives_what_each_image_gives_alone(thumbnail: Path, batch_size: int) -> None:
    sizes = [(80, 120), (80, 120), (80, 120), (120, 80), (80, 120), (10, 10), (40, 60)]
    images = [picture(*size, seed=seed) for seed, size in enumerate(sizes)]
    predictor = Predictor(thumbnail, "cpu", score_threshold=0.0, batch_size=batch_size)
    together = predictor(images)
    assert [found.size_hw for found in together] == sizes
    for image, found in zip(images, together):
        assert_same(found, predictor(image))


def test_boxes_lie_in_the_image_and_scores_fall(predictor: Predictor) -> None:
    found = predictor(picture(50, 300))
    assert len(found) > 0
    assert found.boxes_xyxy.min() >= 0
    assert found.boxes_xyxy[:, [0, 2]].max() <= 300
    assert found.boxes_xyxy[:, [1, 3]].max() <= 50
    assert np.all(np.diff(found.scores) <= 0)
    assert found.labels.max() < len(predictor.classes)


def test_threshold_leaves_out_what_is_below_it(thumbnail: Path, predictor: Predictor) -> None:
    everything = predictor(picture(80, 120))
    middle = float(np.median(everything.scores))
    some = Predictor(thumbnail, "cpu", score_threshold=middle)(picture(80, 120))
    assert_same(some, everything.above(middle))
    assert 0 < len(some) < len(everything)
    assert len(Predictor(thumbnail, "cpu", score_threshold=1.0)(picture(80, 120))) == 0


def test_classes_come_from_the_checkpoint(predictor: Predictor) -> None:
    assert predictor.classes == CLASSES


def test_the_image_is_not_changed_and_any_memory_order_will_do(predictor: Predictor) -> None:
    image = picture(60, 90)
    image.flags.writeable = False
    expected = predictor(image)
    assert_same(predictor(np.asfortranarray(image)), expected)
    assert_same(predictor(image[..., ::-1].copy()[..., ::-1]), expected)
    assert np.array_equal(image, picture(60, 90))


def test_a_single_pixel_is_an_image(predictor: Predictor) -> None:
    found = predictor(np.full((1, 1, 3), 77, np.uint8))
    assert found.size_hw == (1, 1)
    assert found.boxes_xyxy.size == 0 or found.boxes_xyxy.max() <= 1


@pytest.mark.parametrize("image, message", [
    (np.zeros((0, 5, 3), np.uint8), r"empty array of shape \(0, 5, 3\)"),
    (np.zeros((5, 0, 3), np.uint8), "empty array"),
    (np.zeros((5, 5, 3), np.float32), "got an array of float32, expected .* uint8"),
    (np.zeros((5, 5, 3), np.int64), "got an array of int64"),
    (np.zeros((5, 5), np.uint8), r"got shape \(5, 5\), expected an \(H, W, 3\)"),
    (np.zeros((5, 5, 4), np.uint8), r"got shape \(5, 5, 4\)"),
    (np.zeros((2, 5, 5, 3), np.uint8), "for several images, pass a list"),
    (None, "got NoneType"),
    (7, "got int"),
    ([np.zeros((5, 5, 3), np.uint8), None], "image 1: got NoneType"),
    ("no_such_file.jpg", "no_such_file.jpg"),
], ids=["no-rows", "no-columns", "float", "int64", "grey", "rgba", "batch-array", "none", "number",
        "none-in-list", "missing-file"])
def test_what_is_no_image_is_said(predictor: Predictor, image: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        predictor(image)  # type: ignore[call-overload]


def test_an_image_too_thin_to_resize_is_said(predictor: Predictor) -> None:
    # 96 / 5000 of its one row is no row.
    with pytest.raises(DataError, match="5000x1 pixels .* test pipeline's Resize"):
        predictor(np.zeros((1, 5000, 3), np.uint8))


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_beyond_0_to_1_is_refused(thumbnail: Path, threshold: float) -> None:
    with pytest.raises(ValueError, match="score_threshold"):
        Predictor(thumbnail, "cpu", score_threshold=threshold)


def test_what_is_no_checkpoint_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_text("no checkpoint")
    for name in ("a.pth", "missing.pth"):
        with pytest.raises(DetkitError, match=name):
            Predictor(tmp_path / name, "cpu")
