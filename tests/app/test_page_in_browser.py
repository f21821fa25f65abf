"""The page of ``detkit serve`` in a real browser: Debian's chromium, driven by playwright."""

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
# A camera that shows a moving test picture, and a page that may use it without being asked.
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def chromium():
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        # A container's root user has no sandbox.
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        browser = driver.chromium.launch(executable_path=program, args=[*CAMERA, *sandbox])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return save_thumbnail(tmp_path_factory.mktemp("thumbnail") / "thumbnail.pth")


@pytest.fixture(scope="module")
def serve(repository, tmp_path_factory):
    """Start a server for a checkpoint, and give its address; all end with a clean Ctrl-C."""
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
    """Open an address; at the end nothing was asked of elsewhere, and the console is clean."""
    contexts, asked, errors = [], [], []

    def open_at(address, size=WIDE):
        context = chromium.new_context(viewport=size)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)  # only a hang takes longer
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda line: line.type == "error" and errors.append(line.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector("#threshold input")
        return page

    open_at.errors = errors
    yield open_at
    for context in contexts:
        context.close()
    own = re.compile(r"http://127\.0\.0\.1:\d+/|data:|blob:")
    assert asked and not [url for url in asked if not own.match(url)]
    assert not errors


@pytest.fixture
def image_path(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(numbered_image(5)).save(path)
    return path


def upload(page, where, path):
    page.set_input_files(f"#{where} input[type=file]", path)


def clear(page, where):
    names = ("Clear", "Remove Image", "Remove this file")
    page.locator(", ".join(f"#{where} button[aria-label='{name}']" for name in names)).first.click()


def result_rows(page, where="picture-found"):
    return [row.inner_text().split("\t") for row in page.locator(f"#{where} tbody tr").all()]


def wait_for_status(page, where, text):
    page.wait_for_function(
        "([id, text]) => document.getElementById(id).innerText.includes(text)", arg=[where, text])


def set_threshold(page, value):
    page.fill("#threshold input[type=number]", str(value))
    page.press("#threshold input[type=number]", "Enter")


def displayed_image(page):
    source = page.locator("#picture-out img").get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(page.request.get(source).body())).convert("RGB"))


def test_a_picture_is_uploaded_and_boxes_are_seen(address, open_page, detector, image_path):
    found = Predictor(detector, device="cpu", score_threshold=0.25)(image_path)
    page = open_page(address)
    upload(page, "picture-in", image_path)
    wait_for_status(page, "picture-status", f"{len(found)} objects found")
    page.wait_for_selector("#picture-out img")

    rows = result_rows(page)
    assert [row[:2] for row in rows] == [
        [CLASSES[label], f"{score:.2f}"] for label, score in zip(found.labels, found.scores)]
    assert [row[2] for row in rows] == [
        ", ".join(f"{value:.0f}" for value in box) for box in found.boxes_xyxy]
    drawn = displayed_image(page).astype(int)
    assert drawn.shape == numbered_image(5).shape
    # The middle of a box's lower side, and the lines beside it, in the colour of its class; a
    # JPEG's neighbours mix, so near is enough.
    seen = []
    for (left, top, right, bottom), label in zip(found.boxes_xyxy, found.labels):
        line = drawn[max(0, int(bottom) - 2):int(bottom) + 3, int((left + right) / 2)]
        seen.append((np.abs(line - class_color(label)).sum(axis=1) < 200).any())
    assert np.mean(seen) > 0.6  # others lie on top of some
    assert "ms a frame" in page.inner_text("#picture-budget")
    assert "33 ms" in page.inner_text("#picture-budget")


def test_threshold_and_classes_choose_among_the_boxes(address, open_page, detector, image_path):
    page = open_page(address)
    upload(page, "picture-in", image_path)
    wait_for_status(page, "picture-status", "objects found")
    before, pixels = result_rows(page), displayed_image(page)

    set_threshold(page, 0.31)
    higher = Predictor(detector, device="cpu", score_threshold=0.31)(image_path)
    wait_for_status(page, "picture-status", f" {len(higher)} object")
    assert len(result_rows(page)) == len(higher) < len(before)
    assert (displayed_image(page) != pixels).any()

    set_threshold(page, 0.2)
    lower = Predictor(detector, device="cpu", score_threshold=0.2)(image_path)
    wait_for_status(page, "picture-status", f" {len(lower)} object")
    page.click("#classes input")
    page.get_by_role("option", name=CLASSES[2]).click()
    of_class = int((lower.labels == 2).sum())
    assert 0 < of_class < len(lower)
    wait_for_status(page, "picture-status", f" {of_class} object")
    assert {row[0] for row in result_rows(page)} == {CLASSES[2]}


def test_a_bad_file_is_one_line_and_the_next_picture_works(
    address, open_page, image_path, tmp_path
):
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.jpg").write_bytes(b"")
    page = open_page(address)
    for name, fault in (("text.jpg", "not an image in a known format"),
                        ("empty.jpg", "the file is empty")):
        upload(page, "picture-in", tmp_path / name)
        wait_for_status(page, "picture-status", f"{name}: {fault}")
        assert page.locator("#picture-status [role=alert]").count() == 1
        assert not result_rows(page)
        clear(page, "picture-in")
        page.wait_for_selector("#picture-status [role=status]", state="attached")
    upload(page, "picture-in", image_path)
    wait_for_status(page, "picture-status", "objects found")


def test_a_file_beyond_the_limit_is_refused(address, open_page, tmp_path, image_path):
    (tmp_path / "large.jpg").write_bytes(bytes(1024 * 1024 + 1))
    page = open_page(address)
    upload(page, "picture-in", tmp_path / "large.jpg")
    page.get_by_text(re.compile("exceed", re.IGNORECASE)).first.wait_for()
    page.reload()
    page.wait_for_selector("#threshold input")
    upload(page, "picture-in", image_path)
    wait_for_status(page, "picture-status", "objects found")
    open_page.errors.clear()  # the browser tells of the refused upload, as it should


def test_a_video_is_uploaded_and_plays(address, open_page, tmp_path):
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
    assert {row[0] for row in result_rows(page, "video-found")} <= set(CLASSES)
    assert "fps" in page.inner_text("#video-budget")

    clear(page, "video-in")
    upload(page, "video-in", tmp_path / "text.mp4")
    wait_for_status(page, "video-status", "text.mp4: cannot be opened as a video")
    assert page.locator("#video-out video").count() == 0


def test_a_long_video_can_be_stopped(address, open_page, tmp_path):
    write_video(tmp_path / "long.mp4", 1000)
    page = open_page(address)
    page.get_by_role("tab", name="Video").click()
    upload(page, "video-in", tmp_path / "long.mp4")
    page.get_by_text(re.compile(r"\d+/1000")).first.wait_for()
    page.click("#video-stop")
    wait_for_status(page, "video-status", "stopped; the first")
    page.wait_for_function("document.querySelector('#video-out video')?.readyState === 4")


def test_the_camera_is_shown_live_with_its_budget(address, open_page):
    page = open_page(address)
    page.get_by_role("tab", name="Camera").click()
    page.locator("#camera-in button:visible").first.click()  # asks for the camera
    page.locator("#camera-in button[aria-label='capture photo']").click()
    page.wait_for_function("document.querySelector('#camera-out img')?.naturalWidth > 0")
    first = page.locator("#camera-out img").get_attribute("src")
    page.wait_for_function("first => document.querySelector('#camera-out img').src !== first",
                           arg=first)
    wait_for_status(page, "camera-budget", "fps")
    said = page.inner_text("#camera-budget")
    assert all(word in said for word in ("decode", "draw", "encode", "33 ms"))


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_page_fits_window_width(address, open_page, image_path, size):
    page = open_page(address, size)
    upload(page, "picture-in", image_path)
    wait_for_status(page, "picture-status", "objects found")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_a_classifier_names_a_picture(serve, open_page, tmp_path, image_path):
    checkpoint = save_class_thumbnail(tmp_path / "classifier.pth")
    scores = Predictor(checkpoint, device="cpu")(image_path)
    page = open_page(serve(checkpoint))
    upload(page, "picture-in", image_path)
    page.wait_for_selector("#picture-found .label")
    predictor = Predictor(checkpoint, device="cpu")
    assert page.inner_text("#picture-found .label") == predictor.classes[scores.label]
    assert page.locator("#picture-found .bar").count() == 5
    assert f"{scores.score:.3f}" in page.inner_text("#picture-found .bar >> nth=0")
    assert not page.locator("#classes").is_visible()
