"""``Predictor`` with a detector, against mmdet's inference with the same weights."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from thumbnail_checkpoint import CLASSES, CONFIG

from detkit import Detections, Predictor
from detkit.errors import DataError, DetkitError


def smooth_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colored blobs, (height, width, 3) uint8 RGB."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def assert_same(first: Detections, second: Detections) -> None:
    assert first.size_hw == second.size_hw
    assert np.array_equal(first.labels, second.labels)
    np.testing.assert_allclose(first.boxes_xyxy, second.boxes_xyxy, atol=1e-3)
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-5)


@pytest.mark.parametrize("size_hw", [(90, 160), (200, 120), (96, 96), (31, 57)], ids=str)
def test_detections_match_mmdet_inference(
    thumbnail: Path, predictor: Predictor, tmp_path: Path, size_hw: tuple[int, int]
) -> None:
    from mmdet.apis import inference_detector, init_detector
    from mmengine.config import Config

    config = Config.fromstring(CONFIG, ".py")
    config.default_scope = "mmdet"
    model = init_detector(config, str(thumbnail), palette="random", device="cpu")
    image = smooth_image(*size_hw)
    Image.fromarray(image).save(tmp_path / "a.png")
    # mmdet reads the file as BGR itself, so this checks the channel order, too.
    mmdet_result = inference_detector(model, str(tmp_path / "a.png")).pred_instances
    detkit_result = predictor(image)
    assert len(detkit_result) == len(mmdet_result) > 0
    order = np.argsort(-mmdet_result.scores.numpy(), kind="stable")
    np.testing.assert_allclose(detkit_result.scores, mmdet_result.scores.numpy()[order], atol=1e-5)
    assert np.array_equal(detkit_result.labels, mmdet_result.labels.numpy()[order])
    height, width = size_hw
    clipped = mmdet_result.bboxes.numpy()[order].clip(0, [width, height, width, height])
    np.testing.assert_allclose(detkit_result.boxes_xyxy, clipped, atol=1e-3)


def test_no_images_give_empty_list(predictor: Predictor) -> None:
    assert predictor([]) == []
    assert predictor(()) == []


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_batch_matches_single_images(thumbnail: Path, batch_size: int) -> None:
    sizes = [(80, 120), (80, 120), (80, 120), (120, 80), (80, 120), (10, 10), (40, 60)]
    images = [smooth_image(*size, seed=seed) for seed, size in enumerate(sizes)]
    predictor = Predictor(thumbnail, "cpu", score_threshold=0.0, batch_size=batch_size)
    together = predictor(images)
    assert [detections.size_hw for detections in together] == sizes
    for image, detections in zip(images, together):
        assert_same(detections, predictor(image))


def test_boxes_are_inside_image_and_sorted_by_score(predictor: Predictor) -> None:
    detections = predictor(smooth_image(50, 300))
    assert len(detections) > 0
    assert detections.boxes_xyxy.min() >= 0
    assert detections.boxes_xyxy[:, [0, 2]].max() <= 300
    assert detections.boxes_xyxy[:, [1, 3]].max() <= 50
    assert np.all(np.diff(detections.scores) <= 0)
    assert detections.labels.max() < len(predictor.classes)


def test_score_threshold_filters_detections(thumbnail: Path, predictor: Predictor) -> None:
    everything = predictor(smooth_image(80, 120))
    middle = float(np.median(everything.scores))
    filtered = Predictor(thumbnail, "cpu", score_threshold=middle)(smooth_image(80, 120))
    assert_same(filtered, everything.filter_by_score(middle))
    assert 0 < len(filtered) < len(everything)
    assert len(Predictor(thumbnail, "cpu", score_threshold=1.0)(smooth_image(80, 120))) == 0


def test_classes_are_read_from_checkpoint(predictor: Predictor) -> None:
    assert predictor.classes == CLASSES


def test_input_is_unchanged_and_any_memory_order_works(predictor: Predictor) -> None:
    image = smooth_image(60, 90)
    image.flags.writeable = False
    expected = predictor(image)
    assert_same(predictor(np.asfortranarray(image)), expected)
    assert_same(predictor(image[..., ::-1].copy()[..., ::-1]), expected)
    assert np.array_equal(image, smooth_image(60, 90))


def test_single_pixel_image_is_accepted(predictor: Predictor) -> None:
    detections = predictor(np.full((1, 1, 3), 77, np.uint8))
    assert detections.size_hw == (1, 1)
    assert detections.boxes_xyxy.size == 0 or detections.boxes_xyxy.max() <= 1


def test_image_too_thin_to_resize_raises_data_error(predictor: Predictor) -> None:
    # Its single row would be resized to zero rows.
    with pytest.raises(DataError, match="5000x1 pixels .* test pipeline's Resize"):
        predictor(np.zeros((1, 5000, 3), np.uint8))


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_score_threshold_outside_0_to_1_raises_value_error(
    thumbnail: Path, threshold: float
) -> None:
    with pytest.raises(ValueError, match="score_threshold"):
        Predictor(thumbnail, "cpu", score_threshold=threshold)


def test_invalid_checkpoint_raises_error(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_text("no checkpoint")
    for name in ("a.pth", "missing.pth"):
        with pytest.raises(DetkitError, match=name):
            Predictor(tmp_path / name, "cpu")
