"""The outputs of the page of ``detkit serve`` for images, videos and the camera."""

import base64
import io
import re
import threading
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from class_checkpoint import save_class_thumbnail
from numbered_video import numbered_image, read_back, write_video
from PIL import Image
from thumbnail_checkpoint import CLASSES, save_thumbnail

from detkit.app.demo_model import DemoModel
from detkit.app.html import budget, class_bars, detections_table, status
from detkit.app.image_tab import CameraTimings, predict_camera_frame, predict_file, render_result
from detkit.app.video_tab import predict_video
from detkit.cli.build_predictor import build_predictor
from detkit.cli.main import build_parser
from detkit.errors import DetkitError
from detkit.inference.predictor import Predictor
from detkit.structures.classifications import Classifications
from detkit.structures.detections import Detections
from detkit.visualization.box_annotator import class_color

THRESHOLD = 0.29  # some scores of the untrained detector are above, some below
NEVER = threading.Event()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_thumbnail(tmp_path_factory.mktemp("thumbnail") / "thumbnail.pth")


@pytest.fixture(scope="module")
def detector(checkpoint):
    return DemoModel(Predictor(checkpoint, device="cpu"), "mmdet")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = save_class_thumbnail(tmp_path_factory.mktemp("thumbnail") / "classifier.pth")
    return DemoModel(Predictor(path, device="cpu"), "mmdet")


@pytest.fixture
def image_path(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(numbered_image(5)).save(path)
    return path


def rows(html):
    """The cells of a table's body."""
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    return [[unescape(re.sub(r"<[^>]*>", "", cell)) for cell in row.split("</td>")[:-1]]
            for row in body.split("</tr>")[:-1]]


def text_of(html):
    return unescape(re.sub(r"<[^>]*>", "", html))


@pytest.mark.parametrize("labels", [[], [1], [0, 2]], ids=["all", "one", "two"])
def test_table_lists_predicted_boxes(detector, checkpoint, image_path, labels):
    detections = Predictor(checkpoint, device="cpu", score_threshold=THRESHOLD)(image_path)
    expected = [
        index for index, label in enumerate(detections.labels) if not labels or label in labels
    ]
    output = predict_file(detector, str(image_path), THRESHOLD, labels)
    assert rows(output.results) == [
        [CLASSES[detections.labels[index]], f"{detections.scores[index]:.2f}",
         ", ".join(f"{value:.0f}" for value in detections.boxes_xyxy[index])]
        for index in expected
    ]
    assert f"{len(expected)} object" in text_of(output.status)
    height, width = numbered_image(5).shape[:2]
    assert text_of(output.status).startswith(f"{width} x {height} pixels")


def test_boxes_are_drawn_in_their_class_color(detector, image_path):
    output = predict_file(detector, str(image_path), 0.0, [1])
    changed = (output.image != numbered_image(5)).any(axis=2)
    colors = {tuple(pixel) for pixel in output.image[changed].tolist()}
    assert class_color(1) in colors
    assert class_color(0) not in colors and class_color(2) not in colors


def test_new_threshold_needs_no_new_prediction(detector, image_path):
    first = predict_file(detector, str(image_path), 0.0, [])
    failing_model = DemoModel(_FailingPredictor(), "none")
    again = render_result(failing_model, first.result, THRESHOLD, [])
    none = render_result(failing_model, first.result, 1.0, [])
    assert len(rows(first.results)) > len(rows(again.results)) > 0
    assert rows(again.results) == rows(
        predict_file(detector, str(image_path), THRESHOLD, []).results)
    assert rows(none.results) == [] and "No detections" in none.results
    assert (none.image == numbered_image(5)).all()


class _FailingPredictor:
    """A predictor that must not be called."""

    task, classes, score_threshold, num_streams = "detection", CLASSES, 0.3, 1

    def __call__(self, image):
        raise AssertionError("the predictor was called")


def test_bars_of_classifier_are_its_probabilities(classifier, image_path):
    scores = classifier.predict(np.asarray(Image.open(image_path))).prediction
    output = predict_file(classifier, str(image_path), 0.0, [])
    labels, probabilities = scores.top(5)
    assert f'<p class="label">{classifier.classes[labels[0]]}</p>' in output.results
    assert re.findall(r"<span>([\d.]+)</span>", output.results) == [
        f"{value:.3f}" for value in probabilities]
    assert '<p class="label">unsure</p>' in predict_file(
        classifier, str(image_path), min(1.0, scores.score + 0.01), []).results


@pytest.mark.parametrize("content", [b"hello", b"", "half"], ids=["text", "empty", "cut off"])
def test_bad_image_is_one_line_with_file_name(detector, tmp_path, content):
    path = tmp_path / "bad.jpg"
    if content == "half":
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
        content = path.read_bytes()[:-700]
    path.write_bytes(content)
    output = predict_file(detector, str(path), 0.3, [])
    assert output.image is None and output.result is None and output.results == output.budget == ""
    assert 'role="alert"' in output.status and text_of(output.status).startswith("bad.jpg: ")
    assert str(tmp_path) not in output.status and "annotations" not in output.status


def test_no_image_is_no_error(detector):
    output = predict_file(detector, None, 0.3, [])
    assert output.image is None and text_of(output.status) == ""


def test_class_name_is_escaped():
    detections = Detections(np.array([[0, 0, 9, 9]]), np.array([0.5]), np.array([0]), (9, 9))
    name = "<img src=x onerror=alert(1)>"
    assert "<img" not in detections_table(detections, [name])
    assert rows(detections_table(detections, [name])) == [[name, "0.50", "0, 0, 9, 9"]]
    assert "<img" not in class_bars(Classifications(np.array([1.0]), (9, 9)), [name], 5, 0.0)
    assert "<img" not in status(name)


def test_long_table_is_truncated_with_count():
    detections = Detections(np.zeros((130, 4)), np.full(130, 0.5), np.zeros(130, int), (9, 9))
    html = detections_table(detections, ["a"])
    assert len(rows(html)) == 100 and "and 30 more" in html


@pytest.mark.parametrize("timings, verdict, total", [
    ({"model": 20.0, "draw": 13.0}, "within", "33.0 ms"),
    ({"model": 20.0, "draw": 13.5}, "over", "33.5 ms"),
    ({}, "within", "0.0 ms"),
], ids=["33", "33.5", "none"])
def test_budget_verdict_at_33_ms(timings, verdict, total):
    html = budget(timings, 29.97)
    assert f"{verdict} the 33 ms of 30 fps" in text_of(html)
    assert f"{total} per frame · 30.0 fps" in text_of(html)
    assert all(f"{name} {value:.1f} ms" in text_of(html) for name, value in timings.items())


def test_video_output_has_every_frame_and_class_summary(detector, tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 12)
    progress_calls = []
    output = predict_video(detector, str(clip), tmp_path, 0.0, [1], NEVER,
                           lambda done, total: progress_calls.append((done, total)))
    assert len(read_back(Path(output.video))[0]) == 12
    (name, frames, max_count, max_score), = rows(output.results)
    assert (name, frames) == (CLASSES[1], "12") and int(max_count) >= 1 and 0 < float(max_score) < 1
    assert text_of(output.status).startswith("12 frames in ")
    assert "decode" in output.budget and "draw" in output.budget and "encode" in output.budget
    assert progress_calls[0] == (1, 12)
    # Without drawings, the frame numbers can be read.
    plain = predict_video(detector, str(clip), tmp_path, 1.0, [], NEVER)
    assert read_back(Path(plain.video))[0] == list(range(12))


def test_video_of_classifier_has_label(classifier, tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 3)
    output = predict_video(classifier, str(clip), tmp_path, 0.0, [], NEVER)
    assert len(read_back(Path(output.video))[0]) == 3
    assert 'class="label"' in output.results


@pytest.mark.parametrize("content", [b"hello", b""], ids=["text", "empty"])
def test_bad_video_is_one_line_with_file_name(detector, tmp_path, content):
    (tmp_path / "bad.mp4").write_bytes(content)
    output = predict_video(detector, str(tmp_path / "bad.mp4"), tmp_path, 0.3, [], NEVER)
    assert output.video is None and 'role="alert"' in output.status
    assert text_of(output.status).startswith("bad.mp4: ") and str(tmp_path) not in output.status


def test_truncated_video_shows_decoded_frames(detector, tmp_path):
    data = write_video(tmp_path / "full.mp4", 60, options={"movflags": "faststart"}).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[:-len(data) // 4])
    output = predict_video(detector, str(tmp_path / "cut.mp4"), tmp_path, 1.0, [], NEVER)
    numbers = read_back(Path(output.video))[0]
    # The last frame may be cut itself, and its number unreadable.
    assert 10 < len(numbers) < 60 and numbers[:-1] == list(range(len(numbers) - 1))
    status_text = text_of(output.status)
    assert status_text.startswith(
        "cut.mp4: ") and f"the {len(numbers)} frames before it" in status_text
    assert str(tmp_path) not in status_text


def test_stopped_video_shows_finished_frames(detector, tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 300)
    stop = threading.Event()
    output = predict_video(detector, str(clip), tmp_path, 1.0, [], stop,
                           lambda done, total: stop.set())
    numbers = read_back(Path(output.video))[0]
    assert 0 < len(numbers) < 300 and numbers == list(range(len(numbers)))
    assert text_of(output.status) == f"stopped; the first {len(numbers)} frames are shown"
    before = predict_video(detector, str(clip), tmp_path, 0.3, [], stop)
    assert before.video is None and "stopped before the first frame" in text_of(before.status)


def test_missing_video_is_reported(detector, tmp_path):
    assert "select a video" in predict_video(detector, None, tmp_path, 0.3, [], NEVER).status


def test_camera_image_is_returned_with_drawing(detector, image_path):
    sent = "data:image/png;base64," + base64.b64encode(image_path.read_bytes()).decode()
    output = predict_camera_frame(detector, sent, 0.0, [], None)
    head, _, code = output.image.partition(",")
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(code))))
    assert head == "data:image/jpeg;base64" and drawn.shape == numbered_image(5).shape
    assert np.abs(drawn.astype(int) - numbered_image(5)).max() > 100
    assert rows(output.results) == rows(predict_file(detector, str(image_path), 0.0, []).results)
    assert "fps" in predict_camera_frame(detector, sent, 0.0, [],
                                         output.times).budget.partition("33 ms")[0]


@pytest.mark.parametrize("sent", [None, "", "data:image/jpeg;base64,", "data:,%%%",
                                  "data:image/jpeg;base64,aGVsbG8=", "http://example.org/a.jpg"])
def test_invalid_camera_image_is_reported(detector, sent):
    output = predict_camera_frame(detector, sent, 0.3, [], None)
    assert output.image == ""
    assert ("cannot be decoded" in output.results) == bool(sent)


def test_camera_fps_is_frames_per_time(monkeypatch):
    times, clock = CameraTimings(), [10.0]
    monkeypatch.setattr("detkit.app.image_tab.time.perf_counter", lambda: clock[0])
    assert times.add({"model": 5.0}) == ({"model": 5.0}, None)
    clock[0] = 10.5
    assert times.add({"model": 7.0}) == ({"model": 6.0}, 2.0)
    clock[0] = 11.0
    assert times.add({"model": 90.0}) == ({"model": 7.0}, 2.0)  # the median, 2 gaps in 1 s
    clock[0] = 20.0  # it starts again after a pause
    assert times.add({"model": 9.0}) == ({"model": 9.0}, None)


@pytest.mark.slow  # building an engine takes seconds
def test_engine_matches_model_and_reports_timings(checkpoint, detector, image_path):
    pytest.importorskip("openvino")
    args = build_parser("serve", "serve").parse_args(
        [str(checkpoint), "--engine", "openvino", "--precision", "f32", "--device", "cpu"])
    image = np.asarray(Image.open(image_path))
    predictor = build_predictor(args, image.shape[:2])
    model = DemoModel(predictor, predictor.summary())
    assert model.engine.startswith("openvino f32 ")
    from_engine, trained = model.predict(image), detector.predict(image)
    assert list(from_engine.timings) == ["pre", "engine", "post"]
    np.testing.assert_allclose(from_engine.prediction.scores, trained.prediction.scores, atol=1e-4)
    np.testing.assert_allclose(from_engine.prediction.boxes_xyxy, trained.prediction.boxes_xyxy,
                               atol=0.05)


def test_classifier_runs_without_engine_and_rejects_engine_flags(tmp_path):
    path = str(save_class_thumbnail(tmp_path / "classifier.pth"))
    parser = build_parser("serve", "serve")
    predictor = build_predictor(parser.parse_args([path, "--device", "cpu"]))
    assert predictor.task == "classification"
    with pytest.raises(DetkitError, match="--precision: .* classifier"):
        build_predictor(parser.parse_args([path, "--device", "cpu", "--precision", "f32"]))
