"""``EnginePredictor`` answers as ``Predictor`` does, from any thread."""

import threading

import numpy as np
import pytest

from detkit import Detections, Predictor
from detkit.data.images.read_image import read_image
from detkit.errors import DataError, DetkitError, ExportError
from detkit.inference.engine_predictor import MOST_ENGINES, EnginePredictor


@pytest.fixture(scope="module")
def engine(thumbnail):
    return EnginePredictor.from_checkpoint(
        thumbnail, engine="torch", precision="f32", device="cpu", score_threshold=0.0)


@pytest.fixture(scope="module")
def photos(shared_data):
    files = sorted((shared_data / "photos").rglob("*.jpg"))[:2]
    files += sorted((shared_data / "det_bccd_voc").rglob("*.jpg"))[:3]
    return [read_image(file) for file in files]


def assert_same(found: Detections, expected: Detections) -> None:
    assert found.size_hw == expected.size_hw
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    # The canvas is a few times smaller than the picture, and so is its 0.01.
    scale = max(found.size_hw) / 96
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=0.01 * scale)


def test_nothing_gives_nothing(engine):
    assert engine([]) == []


def test_answers_are_those_of_the_checkpoint_in_order(engine, predictor: Predictor, photos):
    alone = [engine(photo) for photo in photos]
    for found, photo in zip(alone, photos):
        expected = predictor(photo)
        assert len(expected) > 0
        assert_same(found, expected)
    for found, expected in zip(engine(photos), alone):
        assert_same(found, expected)


def test_the_threshold_leaves_out_and_may_be_changed(thumbnail, photos):
    look = EnginePredictor.from_checkpoint(thumbnail, engine="torch", device="cpu",
                                           score_threshold=0.0)
    scores = look(photos[0]).scores
    look.score_threshold = float(scores[2])
    assert len(look(photos[0])) == int((scores >= scores[2]).sum())


def test_a_file_is_read_and_a_bad_one_is_said(engine, photos, tmp_path, shared_data):
    path = sorted((shared_data / "photos").rglob("*.jpg"))[0]
    assert_same(engine(path), engine(read_image(path)))
    (tmp_path / "a.jpg").write_text("no image")
    with pytest.raises(DataError, match="a.jpg"):
        engine([path, tmp_path / "a.jpg"])
    with pytest.raises(DataError, match="uint8"):
        engine(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(DataError, match="a sequence"):
        engine(5)


def test_threads_get_their_own_answers_and_timings(engine, photos):
    alone = [engine(photo) for photo in photos]
    wrong = []

    def look(number):
        for _ in range(3):
            if engine(photos[number]) != alone[number] or engine.timings.engine <= 0:
                wrong.append(number)

    threads = [threading.Thread(target=look, args=(n,)) for n in range(len(photos))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(value > 0 for value in engine.median_timings())


def test_pictures_of_many_shapes_share_a_few_engines(thumbnail):
    look = EnginePredictor.from_checkpoint(thumbnail, engine="torch", device="cpu",
                                           score_threshold=0.0)
    # Canvases 96x96, 64x96, 32x96, 96x64 and 96x32: the last two are beyond the few.
    for height, width in ((60, 60), (40, 64), (20, 64), (64, 40), (64, 20)):
        found = look(np.full((height, width, 3), 100, np.uint8))
        assert found.size_hw == (height, width)
    assert len(look._engines) == MOST_ENGINES - 1


def test_it_says_what_it_is(thumbnail):
    look = EnginePredictor.from_checkpoint(thumbnail, engine="torch", device="cpu")
    assert (look.task, look.classes) == ("detection", ("car", "bus", "dog"))
    assert (look.engine_name, look.canvas_hw, look.timings) == (None, None, None)
    assert look.describe() == "an engine made for the first picture, 1 stream"
    look.prepare((48, 64))
    assert (look.engine_name, look.precision, look.canvas_hw) == ("torch", "f32", (96, 96))
    assert look.describe() == "torch f32 96x96, 1 stream"


@pytest.mark.parametrize(("size", "picture", "canvas"), [
    (64, (48, 64), (64, 64)), ((64, 128), (48, 64), (64, 128)), (None, (30, 96), (32, 96)),
])
def test_the_size_is_the_one_asked_for(thumbnail, size, picture, canvas):
    look = EnginePredictor.from_checkpoint(thumbnail, engine="torch", device="cpu", size=size,
                                           image_hw=picture, score_threshold=0.0)
    assert look.canvas_hw == canvas
    found = look(np.full((*picture, 3), 90, np.uint8))
    assert found.size_hw == picture
    assert (found.boxes_xyxy <= (picture[1], picture[0]) * 2).all()


@pytest.mark.parametrize(("words", "message"), [
    ({"engine": "fast"}, "torch.compile"),
    ({"engine": "tensorrt"}, "tensorrt"),
    ({"engine": "openvino", "precision": "f16"}, "f16"),
    ({"precision": "f16"}, "f16"),
    ({"device": "tpu"}, "tpu"),
    ({"size": (50, 50), "image_hw": (50, 50)}, "multiples of 32"),
])
def test_what_cannot_be_is_one_line(thumbnail, words, message):
    with pytest.raises(DetkitError, match=message) as caught:
        EnginePredictor.from_checkpoint(thumbnail, **{"device": "cpu", "engine": "torch", **words})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("words", [
    {"score_threshold": -0.1}, {"score_threshold": 1.1}, {"streams": 0}, {"batch": 0}])
def test_numbers_out_of_range_are_refused(thumbnail, words):
    with pytest.raises(ValueError, match=next(iter(words))):
        EnginePredictor.from_checkpoint(thumbnail, engine="torch", device="cpu", **words)


def test_a_classifier_s_checkpoint_is_refused(class_thumbnail):
    with pytest.raises(ExportError, match="classifier"):
        EnginePredictor.from_checkpoint(class_thumbnail, device="cpu")
