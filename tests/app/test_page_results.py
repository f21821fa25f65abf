"""What the page of ``detkit serve`` shows, without the page: pictures, videos, the camera."""

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
from detkit.app.html import budget, class_bars, finds_table, status
from detkit.app.image import LiveTimes, look_at_file, look_live, show
from detkit.app.video import look_at_video
from detkit.cli.build_predictor import choose_predictor
from detkit.cli.main import build_parser
from detkit.errors import DetkitError
from detkit.inference.predictor import Predictor
from detkit.structures.classifications import ClassScores
from detkit.structures.detections import Detections
from detkit.visualization.box_annotator import class_colour

THRESHOLD = 0.29  # some of the untrained detector's scores lie above, some below
NEVER = threading.Event()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_thumbnail(tmp_path_factory.mktemp("thumbnail") / "thumbnail.pth")


@pytest.fixture(scope="module")
def detector(checkpoint):
    return DemoModel(Predictor(checkpoint, device="cpu"), "as it was trained")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = save_class_thumbnail(tmp_path_factory.mktemp("thumbnail") / "classifier.pth")
    return DemoModel(Predictor(path, device="cpu"), "as it was trained")


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(numbered_image(5)).save(path)
    return path


def rows(html):
    """The cells of a table's body."""
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    return [[unescape(re.sub(r"<[^>]*>", "", cell)) for cell in row.split("</td>")[:-1]]
            for row in body.split("</tr>")[:-1]]


def words(html):
    return unescape(re.sub(r"<[^>]*>", "", html))


@pytest.mark.parametrize("labels", [[], [1], [0, 2]], ids=["all", "one", "two"])
def test_the_table_says_what_the_predictor_finds(detector, checkpoint, picture, labels):
    found = Predictor(checkpoint, device="cpu", score_threshold=THRESHOLD)(picture)
    wanted = [place for place, label in enumerate(found.labels)
              if not labels or label in labels]
    shown = look_at_file(detector, str(picture), THRESHOLD, labels)
    assert rows(shown.found) == [
        [CLASSES[found.labels[place]], f"{found.scores[place]:.2f}",
         ", ".join(f"{value:.0f}" for value in found.boxes_xyxy[place])]
        for place in wanted
    ]
    assert f"{len(wanted)} object" in words(shown.status)
    height, width = numbered_image(5).shape[:2]
    assert words(shown.status).startswith(f"{width} x {height} pixels")


def test_boxes_are_drawn_in_the_colour_of_their_class(detector, picture):
    shown = look_at_file(detector, str(picture), 0.0, [1])
    changed = (shown.picture != numbered_image(5)).any(axis=2)
    colours = {tuple(pixel) for pixel in shown.picture[changed].tolist()}
    assert class_colour(1) in colours
    assert class_colour(0) not in colours and class_colour(2) not in colours


def test_another_threshold_asks_for_no_new_look(detector, picture):
    first = look_at_file(detector, str(picture), 0.0, [])
    detector_that_must_not_look = DemoModel(_Blind(), "blind")
    again = show(detector_that_must_not_look, first.seen, THRESHOLD, [])
    none = show(detector_that_must_not_look, first.seen, 1.0, [])
    assert len(rows(first.found)) > len(rows(again.found)) > 0
    assert rows(again.found) == rows(look_at_file(detector, str(picture), THRESHOLD, []).found)
    assert rows(none.found) == [] and "Nothing found" in none.found
    assert (none.picture == numbered_image(5)).all()


class _Blind:
    """A predictor that cannot look."""

    task, classes, score_threshold = "detection", CLASSES, 0.3

    def __call__(self, image):
        raise AssertionError("it looked")


def test_a_classifier_gives_bars_that_are_its_probabilities(classifier, picture):
    scores = classifier.look(np.asarray(Image.open(picture))).answer
    shown = look_at_file(classifier, str(picture), 0.0, [])
    labels, probabilities = scores.top(5)
    assert f'<p class="label">{classifier.classes[labels[0]]}</p>' in shown.found
    assert re.findall(r"<span>([\d.]+)</span>", shown.found) == [
        f"{value:.3f}" for value in probabilities]
    assert '<p class="label">unsure</p>' in look_at_file(
        classifier, str(picture), min(1.0, scores.score + 0.01), []).found


@pytest.mark.parametrize("content", [b"hello", b"", "half"], ids=["text", "empty", "cut off"])
def test_a_bad_picture_is_one_line_with_its_name_alone(detector, tmp_path, content):
    path = tmp_path / "bad.jpg"
    if content == "half":
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
        content = path.read_bytes()[:-700]
    path.write_bytes(content)
    shown = look_at_file(detector, str(path), 0.3, [])
    assert shown.picture is None and shown.seen is None and shown.found == shown.budget == ""
    assert 'role="alert"' in shown.status and words(shown.status).startswith("bad.jpg: ")
    assert str(tmp_path) not in shown.status and "annotations" not in shown.status


def test_no_picture_is_no_error(detector):
    shown = look_at_file(detector, None, 0.3, [])
    assert shown.picture is None and words(shown.status) == ""


def test_a_class_name_is_text_and_never_html():
    found = Detections(np.array([[0, 0, 9, 9]]), np.array([0.5]), np.array([0]), (9, 9))
    name = "<img src=x onerror=alert(1)>"
    assert "<img" not in finds_table(found, [name])
    assert rows(finds_table(found, [name])) == [[name, "0.50", "0, 0, 9, 9"]]
    assert "<img" not in class_bars(ClassScores(np.array([1.0]), (9, 9)), [name], 5, 0.0)
    assert "<img" not in status(name)


def test_a_long_table_says_how_many_more():
    many = Detections(np.zeros((130, 4)), np.full(130, 0.5), np.zeros(130, int), (9, 9))
    html = finds_table(many, ["a"])
    assert len(rows(html)) == 100 and "and 30 more" in html


@pytest.mark.parametrize("parts, verdict, total", [
    ({"model": 20.0, "draw": 13.0}, "within", "33.0 ms"),
    ({"model": 20.0, "draw": 13.5}, "over", "33.5 ms"),
    ({}, "within", "0.0 ms"),
], ids=["33", "33.5", "none"])
def test_the_budget_says_whether_33_ms_are_met(parts, verdict, total):
    html = budget(parts, 29.97)
    assert f"{verdict} the 33 ms of 30 fps" in words(html)
    assert f"{total} a frame · 30.0 fps" in words(html)
    assert all(f"{name} {value:.1f} ms" in words(html) for name, value in parts.items())


def test_every_frame_of_a_video_comes_back_with_its_sums(detector, tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 12)
    told = []
    shown = look_at_video(detector, str(clip), tmp_path, 0.0, [1], NEVER,
                          lambda done, total: told.append((done, total)))
    assert len(read_back(Path(shown.video))[0]) == 12
    (name, frames, most, best), = rows(shown.found)
    assert (name, frames) == (CLASSES[1], "12") and int(most) >= 1 and 0 < float(best) < 1
    assert words(shown.status).startswith("12 frames in ")
    assert "decode" in shown.budget and "draw" in shown.budget and "encode" in shown.budget
    assert told[0] == (1, 12)
    # With nothing drawn on them the frames can be told apart.
    plain = look_at_video(detector, str(clip), tmp_path, 1.0, [], NEVER)
    assert read_back(Path(plain.video))[0] == list(range(12))


def test_a_video_of_a_classifier_is_named(classifier, tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 3)
    shown = look_at_video(classifier, str(clip), tmp_path, 0.0, [], NEVER)
    assert len(read_back(Path(shown.video))[0]) == 3
    assert 'class="label"' in shown.found


@pytest.mark.parametrize("content", [b"hello", b""], ids=["text", "empty"])
def test_a_bad_video_is_one_line_with_its_name_alone(detector, tmp_path, content):
    (tmp_path / "bad.mp4").write_bytes(content)
    shown = look_at_video(detector, str(tmp_path / "bad.mp4"), tmp_path, 0.3, [], NEVER)
    assert shown.video is None and 'role="alert"' in shown.status
    assert words(shown.status).startswith("bad.mp4: ") and str(tmp_path) not in shown.status


def test_a_video_cut_off_shows_what_came_before(detector, tmp_path):
    whole = write_video(tmp_path / "whole.mp4", 60, options={"movflags": "faststart"}).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:-len(whole) // 4])
    shown = look_at_video(detector, str(tmp_path / "cut.mp4"), tmp_path, 1.0, [], NEVER)
    numbers = read_back(Path(shown.video))[0]
    assert 10 < len(numbers) < 60 and numbers == list(range(len(numbers)))
    said = words(shown.status)
    assert said.startswith("cut.mp4: ") and f"the {len(numbers)} frames before it" in said
    assert str(tmp_path) not in said


def test_a_video_can_be_stopped_and_shows_what_was_done(detector, tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 300)
    stop = threading.Event()
    shown = look_at_video(detector, str(clip), tmp_path, 1.0, [], stop,
                          lambda done, total: stop.set())
    numbers = read_back(Path(shown.video))[0]
    assert 0 < len(numbers) < 300 and numbers == list(range(len(numbers)))
    assert words(shown.status) == f"stopped; the first {len(numbers)} frames are shown"
    before = look_at_video(detector, str(clip), tmp_path, 0.3, [], stop)
    assert before.video is None and "stopped before the first frame" in words(before.status)


def test_no_video_is_said(detector, tmp_path):
    assert "choose a video" in look_at_video(detector, None, tmp_path, 0.3, [], NEVER).status


def test_a_camera_picture_comes_back_drawn_and_larger_than_none(detector, picture):
    sent = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    shown = look_live(detector, sent, 0.0, [], None)
    head, _, code = shown.picture.partition(",")
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(code))))
    assert head == "data:image/jpeg;base64" and drawn.shape == numbered_image(5).shape
    assert np.abs(drawn.astype(int) - numbered_image(5)).max() > 100
    assert rows(shown.found) == rows(look_at_file(detector, str(picture), 0.0, []).found)
    assert "fps" in look_live(detector, sent, 0.0, [], shown.times).budget.partition("33 ms")[0]


@pytest.mark.parametrize("sent", [None, "", "data:image/jpeg;base64,", "data:,%%%",
                                  "data:image/jpeg;base64,aGVsbG8=", "http://example.org/a.jpg"])
def test_a_camera_picture_that_is_none_ends_nothing(detector, sent):
    shown = look_live(detector, sent, 0.3, [], None)
    assert shown.picture == ""
    assert ("cannot be decoded" in shown.found) == bool(sent)


def test_the_live_rate_is_pictures_by_time(monkeypatch):
    times, clock = LiveTimes(), [10.0]
    monkeypatch.setattr("detkit.app.image.time.perf_counter", lambda: clock[0])
    assert times.add({"model": 5.0}) == ({"model": 5.0}, None)
    clock[0] = 10.5
    assert times.add({"model": 7.0}) == ({"model": 6.0}, 2.0)
    clock[0] = 11.0
    assert times.add({"model": 90.0}) == ({"model": 7.0}, 2.0)  # the median, 2 gaps in 1 s
    clock[0] = 20.0  # after a pause it begins anew
    assert times.add({"model": 9.0}) == ({"model": 9.0}, None)


@pytest.mark.slow  # an engine takes its seconds to be made
def test_an_engine_finds_the_same_and_says_where_its_time_goes(checkpoint, detector, picture):
    pytest.importorskip("openvino")
    args = build_parser("serve", "serve").parse_args(
        [str(checkpoint), "--engine", "openvino", "--precision", "f32", "--device", "cpu"])
    image = np.asarray(Image.open(picture))
    model = DemoModel(*choose_predictor(args, image.shape[:2]))
    assert model.says.startswith("openvino f32 ")
    by_engine, trained = model.look(image), detector.look(image)
    assert list(by_engine.parts) == ["fit", "engine", "post"]
    np.testing.assert_allclose(by_engine.answer.scores, trained.answer.scores, atol=1e-4)
    np.testing.assert_allclose(by_engine.answer.boxes_xyxy, trained.answer.boxes_xyxy, atol=0.05)


def test_a_classifier_needs_no_engine_and_refuses_one(tmp_path):
    path = str(save_class_thumbnail(tmp_path / "classifier.pth"))
    parser = build_parser("serve", "serve")
    predictor, _ = choose_predictor(parser.parse_args([path, "--device", "cpu"]))
    assert predictor.task == "classification"
    with pytest.raises(DetkitError, match="--precision: .* holds a classifier"):
        choose_predictor(parser.parse_args([path, "--device", "cpu", "--precision", "f32"]))
