"""``EnginePredictor`` matches ``Predictor``, from any thread."""

import threading

import numpy as np
import pytest

from detkit import Detections, Predictor
from detkit.data.images.read_image import read_image
from detkit.errors import DetkitError, ExportError
from detkit.inference.engine_predictor import MAX_ENGINES, EnginePredictor


@pytest.fixture(scope="module")
def engine(thumbnail):
    return EnginePredictor.from_checkpoint(
        thumbnail, engine="torch", precision="f32", device="cpu", score_threshold=0.0)


@pytest.fixture(scope="module")
def photos(shared_data):
    files = sorted((shared_data / "photos").rglob("*.jpg"))[:2]
    files += sorted((shared_data / "det_bccd_voc").rglob("*.jpg"))[:3]
    return [read_image(file) for file in files]


def assert_same(detections: Detections, expected: Detections) -> None:
    assert detections.size_hw == expected.size_hw
    np.testing.assert_array_equal(detections.labels, expected.labels)
    np.testing.assert_allclose(detections.scores, expected.scores, atol=1e-4)
    # Tolerance of 0.01 pixels of the input, which is smaller than the image.
    scale = max(detections.size_hw) / 96
    np.testing.assert_allclose(detections.boxes_xyxy, expected.boxes_xyxy, atol=0.01 * scale)


def test_empty_list_gives_empty_list(engine):
    assert engine([]) == []


def test_detections_match_predictor_in_order(engine, predictor: Predictor, photos):
    alone = [engine(photo) for photo in photos]
    for detections, photo in zip(alone, photos):
        expected = predictor(photo)
        assert len(expected) > 0
        assert_same(detections, expected)
    for detections, expected in zip(engine(photos), alone):
        assert_same(detections, expected)


def test_score_threshold_filters_and_can_be_changed(thumbnail, photos):
    predict = EnginePredictor.from_checkpoint(thumbnail, engine="torch", device="cpu",
                                              score_threshold=0.0)
    scores = predict(photos[0]).scores
    predict.score_threshold = float(scores[2])
    assert len(predict(photos[0])) == int((scores >= scores[2]).sum())


def test_threads_get_their_own_detections_and_timings(engine, photos):
    alone = [engine(photo) for photo in photos]
    wrong = []

    def predict(index):
        for _ in range(3):
            if engine(photos[index]) != alone[index] or engine.timings.engine <= 0:
                wrong.append(index)

    threads = [threading.Thread(target=predict, args=(n,)) for n in range(len(photos))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(value > 0 for value in engine.median_timings())


def test_number_of_engines_is_limited(thumbnail):
    predict = EnginePredictor.from_checkpoint(thumbnail, engine="torch", device="cpu",
                                              score_threshold=0.0)
    # Input sizes 96x96, 64x96, 32x96, 96x64 and 96x32; the last two exceed the limit.
    for height, width in ((60, 60), (40, 64), (20, 64), (64, 40), (64, 20)):
        detections = predict(np.full((height, width, 3), 100, np.uint8))
        assert detections.size_hw == (height, width)
    assert len(predict._engines) == MAX_ENGINES - 1


def test_attributes_and_summary(thumbnail):
    predict = EnginePredictor.from_checkpoint(thumbnail, engine="torch", device="cpu")
    assert (predict.task, predict.classes) == ("detection", ("car", "bus", "dog"))
    assert (predict.engine_name, predict.input_hw, predict.timings) == (None, None, None)
    assert predict.summary() == "an engine created at the first image, 1 stream"
    predict.prepare((48, 64))
    assert (predict.engine_name, predict.precision, predict.input_hw) == ("torch", "f32", (96, 96))
    assert predict.summary() == "torch f32 96x96, 1 stream"


@pytest.mark.parametrize(("size", "original_hw", "input_hw"), [
    (64, (48, 64), (64, 64)), ((64, 128), (48, 64), (64, 128)), (None, (30, 96), (32, 96)),
])
def test_size_option_sets_input_size(thumbnail, size, original_hw, input_hw):
    predict = EnginePredictor.from_checkpoint(thumbnail, engine="torch", device="cpu", size=size,
                                              original_hw=original_hw, score_threshold=0.0)
    assert predict.input_hw == input_hw
    detections = predict(np.full((*original_hw, 3), 90, np.uint8))
    assert detections.size_hw == original_hw
    assert (detections.boxes_xyxy <= (original_hw[1], original_hw[0]) * 2).all()


@pytest.mark.parametrize(("kwargs", "message"), [
    ({"engine": "fast"}, "torch.compile"),
    ({"engine": "tensorrt"}, "tensorrt"),
    ({"engine": "openvino", "precision": "f16"}, "f16"),
    ({"precision": "f16"}, "f16"),
    ({"device": "tpu"}, "tpu"),
    ({"size": (50, 50), "original_hw": (50, 50)}, "multiples of 32"),
])
def test_invalid_options_raise_one_line_error(thumbnail, kwargs, message):
    with pytest.raises(DetkitError, match=message) as error_info:
        EnginePredictor.from_checkpoint(thumbnail, **{"device": "cpu", "engine": "torch", **kwargs})
    assert "\n" not in str(error_info.value)


@pytest.mark.parametrize("kwargs", [
    {"score_threshold": -0.1}, {"score_threshold": 1.1}, {"num_streams": 0}, {"batch_size": 0}])
def test_options_out_of_range_raise_value_error(thumbnail, kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        EnginePredictor.from_checkpoint(thumbnail, engine="torch", device="cpu", **kwargs)


def test_classifier_checkpoint_is_rejected(class_thumbnail):
    with pytest.raises(ExportError, match="classifier"):
        EnginePredictor.from_checkpoint(class_thumbnail, device="cpu")
