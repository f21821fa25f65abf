"""The page of ``detkit serve`` in a real browser: chromium, driven by playwright."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from class_checkpoint import save_class_thumbnail
from numbered_video import numbered_image, write_video
from PIL import Image
from thumbnail_checkpoint import CLASSES, save_thumbnail

from detkit.inference.predictor import Predictor
from detkit.visualization.box_annotator import class_color

pytestmark = pytest.mark.slow
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# A fake camera with a moving test image, and permission to use it.
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def chromium():
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        # The root user of a container has no sandbox.
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        browser = driver.chromium.launch(executable_path=program, args=[*CAMERA, *sandbox])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return save_thumbnail(tmp_path_factory.mktemp("thumbnail") / "thumbnail.pth")


@pytest.fixture(scope="module")
def serve(repository, tmp_path_factory):
    """Start a server for a checkpoint, and return its URL; all end with a clean Ctrl-C."""
    children = []

    def start(checkpoint, *flags):
        child = subprocess.Popen(
            [sys.executable, "tools/serve.py", str(checkpoint), "--port", "auto",
             "--device", "cpu", *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository,
        )
        children.append(child)
        return child.stdout.readline().strip()

    yield start
    for child in children:
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0 and "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def address(serve, detector):
    return serve(detector, "--threshold", "0.25", "--max-upload", "1", "--engine", "mmdet")


@pytest.fixture
def open_page(chromium):
    """Open a URL; at the end there were no requests to other hosts, and no console errors."""
    contexts, requested, errors = [], [], []

    def open_at(address, size=WIDE):
        context = chromium.new_context(viewport=size)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)  # only a hang takes longer
        page.on("request", lambda request: requested.append(request.url))
        page.on("console", lambda line: line.type == "error" and errors.append(line.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector("#threshold input")
        return page

    open_at.errors = errors
    yield open_at
    for context in contexts:
        context.close()
    local = re.compile(r"http://127\.0\.0\.1:\d+/|data:|blob:")
    assert requested and not [url for url in requested if not local.match(url)]
    assert not errors


@pytest.fixture
def image_path(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(numbered_image(5)).save(path)
    return path


def upload(page, element_id, path):
    page.set_input_files(f"#{element_id} input[type=file]", path)


def clear(page, element_id):
    names = ("Clear", "Remove Image", "Remove this file")
    selector = ", ".join(f"#{element_id} button[aria-label='{name}']" for name in names)
    page.locator(selector).first.click()


def result_rows(page, element_id="image-results"):
    return [row.inner_text().split("\t") for row in page.locator(f"#{element_id} tbody tr").all()]


def wait_for_status(page, element_id, text):
    page.wait_for_function(
        "([id, text]) => document.getElementById(id).innerText.includes(text)",
        arg=[element_id, text])


def set_threshold(page, value):
    page.fill("#threshold input[type=number]", str(value))
    page.press("#threshold input[type=number]", "Enter")


def displayed_image(page):
    source = page.locator("#image-out img").get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(page.request.get(source).body())).convert("RGB"))


def test_uploaded_image_shows_boxes(address, open_page, detector, image_path):
    detections = Predictor(detector, device="cpu", score_threshold=0.25)(image_path)
    page = open_page(address)
    upload(page, "image-in", image_path)
    wait_for_status(page, "image-status", f"{len(detections)} objects detected")
    page.wait_for_selector("#image-out img")

    rows = result_rows(page)
    assert [row[:2] for row in rows] == [
        [CLASSES[label], f"{score:.2f}"]
        for label, score in zip(detections.labels, detections.scores)]
    assert [row[2] for row in rows] == [
        ", ".join(f"{value:.0f}" for value in box) for box in detections.boxes_xyxy]
    drawn = displayed_image(page).astype(int)
    assert drawn.shape == numbered_image(5).shape
    # The middle of a box's lower side and the rows next to it have the color of its class, within
    # a tolerance for the JPEG.
    visible = []
    for (left, top, right, bottom), label in zip(detections.boxes_xyxy, detections.labels):
        line = drawn[max(0, int(bottom) - 2):int(bottom) + 3, int((left + right) / 2)]
        visible.append((np.abs(line - class_color(label)).sum(axis=1) < 200).any())
    assert np.mean(visible) > 0.6  # some are covered by others
    assert "ms per frame" in page.inner_text("#image-budget")
    assert "33 ms" in page.inner_text("#image-budget")


def test_threshold_and_classes_filter_detections(address, open_page, detector, image_path):
    page = open_page(address)
    upload(page, "image-in", image_path)
    wait_for_status(page, "image-status", "objects detected")
    before, pixels = result_rows(page), displayed_image(page)

    set_threshold(page, 0.31)
    higher = Predictor(detector, device="cpu", score_threshold=0.31)(image_path)
    wait_for_status(page, "image-status", f" {len(higher)} object")
    assert len(result_rows(page)) == len(higher) < len(before)
    assert (displayed_image(page) != pixels).any()

    set_threshold(page, 0.2)
    lower = Predictor(detector, device="cpu", score_threshold=0.2)(image_path)
    wait_for_status(page, "image-status", f" {len(lower)} object")
    page.click("#classes input")
    page.get_by_role("option", name=CLASSES[2]).click()
    of_class = int((lower.labels == 2).sum())
    assert 0 < of_class < len(lower)
    wait_for_status(page, "image-status", f" {of_class} object")
    assert {row[0] for row in result_rows(page)} == {CLASSES[2]}


def test_invalid_file_is_one_line_and_next_image_works(
    address, open_page, image_path, tmp_path
):
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.jpg").write_bytes(b"")
    page = open_page(address)
    for name, fault in (("text.jpg", "not an image in a known format"),
                        ("empty.jpg", "the file is empty")):
        upload(page, "image-in", tmp_path / name)
        wait_for_status(page, "image-status", f"{name}: {fault}")
        assert page.locator("#image-status [role=alert]").count() == 1
        assert not result_rows(page)
        clear(page, "image-in")
        page.wait_for_selector("#image-status [role=status]", state="attached")
    upload(page, "image-in", image_path)
    wait_for_status(page, "image-status", "objects detected")


def test_file_above_size_limit_is_rejected(address, open_page, tmp_path, image_path):
    (tmp_path / "large.jpg").write_bytes(bytes(1024 * 1024 + 1))
    page = open_page(address)
    upload(page, "image-in", tmp_path / "large.jpg")
    page.get_by_text(re.compile("exceed", re.IGNORECASE)).first.wait_for()
    page.reload()
    page.wait_for_selector("#threshold input")
    upload(page, "image-in", image_path)
    wait_for_status(page, "image-status", "objects detected")
    open_page.errors.clear()  # the browser logs the rejected upload


def test_uploaded_video_plays(address, open_page, tmp_path):
    write_video(tmp_path / "clip.mp4", 25)
    (tmp_path / "text.mp4").write_text("hello")
    page = open_page(address)
    page.get_by_role("tab", name="Video").click()
    upload(page, "video-in", tmp_path / "clip.mp4")
    wait_for_status(page, "video-status", "25 frames in")
    page.wait_for_function("document.querySelector('#video-out video')?.readyState === 4")
    state = page.evaluate("""async () => {
        const video = document.querySelector('#video-out video');
        video.muted = true; await video.play();
        return [video.videoWidth, video.videoHeight, video.duration, video.error]; }""")
    assert state == [160, 64, 1, None]
    page.wait_for_function("document.querySelector('#video-out video').currentTime > 0.2")
    assert {row[0] for row in result_rows(page, "video-results")} <= set(CLASSES)
    assert "fps" in page.inner_text("#video-budget")

    clear(page, "video-in")
    upload(page, "video-in", tmp_path / "text.mp4")
    wait_for_status(page, "video-status", "text.mp4: cannot be opened as a video")
    assert page.locator("#video-out video").count() == 0


def test_long_video_can_be_stopped(address, open_page, tmp_path):
    write_video(tmp_path / "long.mp4", 1000)
    page = open_page(address)
    page.get_by_role("tab", name="Video").click()
    upload(page, "video-in", tmp_path / "long.mp4")
    page.get_by_text(re.compile(r"\d+/1000")).first.wait_for()
    page.click("#video-stop")
    wait_for_status(page, "video-status", "stopped; the first")
    page.wait_for_function("document.querySelector('#video-out video')?.readyState === 4")


def test_camera_is_live_with_time_budget(address, open_page):
    page = open_page(address)
    page.get_by_role("tab", name="Camera").click()
    page.locator("#camera-in button:visible").first.click()  # requests the camera
    page.locator("#camera-in button[aria-label='capture photo']").click()
    page.wait_for_function("document.querySelector('#camera-out img')?.naturalWidth > 0")
    first = page.locator("#camera-out img").get_attribute("src")
    page.wait_for_function("first => document.querySelector('#camera-out img').src !== first",
                           arg=first)
    wait_for_status(page, "camera-budget", "fps")
    budget = page.inner_text("#camera-budget")
    assert all(text in budget for text in ("decode", "draw", "encode", "33 ms"))


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_page_fits_window_width(address, open_page, image_path, size):
    page = open_page(address, size)
    upload(page, "image-in", image_path)
    wait_for_status(page, "image-status", "objects detected")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_classifier_shows_label_and_bars(serve, open_page, tmp_path, image_path):
    checkpoint = save_class_thumbnail(tmp_path / "classifier.pth")
    scores = Predictor(checkpoint, device="cpu")(image_path)
    page = open_page(serve(checkpoint))
    upload(page, "image-in", image_path)
    page.wait_for_selector("#image-results .label")
    predictor = Predictor(checkpoint, device="cpu")
    assert page.inner_text("#image-results .label") == predictor.classes[scores.label]
    assert page.locator("#image-results .bar").count() == 5
    assert f"{scores.score:.3f}" in page.inner_text("#image-results .bar >> nth=0")
    assert not page.locator("#classes").is_visible()
