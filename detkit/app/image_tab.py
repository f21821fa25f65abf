"""Inference on an uploaded image or on the images of a camera, and its output on the page."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image as PillowImage

from detkit.app.demo_model import TOP_K, DemoModel, DemoResult, filter_detections
from detkit.app.html import budget, class_bars, detections_table, status
from detkit.data.images.image_formats import register_heif
from detkit.data.images.open_image import header_wh
from detkit.data.images.read_image import UNREADABLE_HINT, read_image
from detkit.data.images.read_notes import ImageNote
from detkit.errors import DataError, DetkitError
from detkit.inference.predictor_protocol import Image
from detkit.structures.detections import Detections

MAX_IMAGE_PIXELS = 100_000_000  # of an uploaded image, checked in its header
MAX_CAMERA_PIXELS = 2560 * 1440  # of a camera image; the page requests 640 x 480
CAMERA_FORMATS = ("JPEG", "PNG", "WEBP")
MAX_CACHE_BYTES = 512 * 1024 * 1024  # of images kept to be drawn with another threshold
NUM_TIMED_FRAMES = 30  # camera images that the time budget is averaged over


@dataclass(frozen=True)
class ImageOutput:
    """The output for an image: the annotated image (None for none), and HTML."""

    image: Image | None
    results: str
    budget: str
    status: str
    result: DemoResult | None = None


class ResultCache:
    """The last result of each open page; above ``max_bytes`` the oldest are removed.

    May be called from several threads.
    """

    def __init__(self, max_bytes: int = MAX_CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._results: OrderedDict[str, DemoResult] = OrderedDict()

    def get(self, tab: str) -> DemoResult | None:
        """The result of a page; None if it has none, or it was removed."""
        with self._lock:
            return self._results.get(tab)

    def put(self, tab: str, result: DemoResult | None) -> None:
        """Replace the result of a page; None to remove it."""
        with self._lock:
            self._results.pop(tab, None)
            if result is not None:
                self._results[tab] = result
            while sum(entry.image.nbytes for entry in self._results.values()) > self._max_bytes:
                self._results.popitem(last=False)

    def drop(self, tab: str) -> None:
        """Remove the result of a page."""
        self.put(tab, None)


def predict_file(
    model: DemoModel, path: str | None, threshold: float, labels: Sequence[int]
) -> ImageOutput:
    """Run inference on an uploaded image; an error becomes the status line."""
    if path is None:
        return ImageOutput(None, "", "", status())
    notes: list[ImageNote] = []
    try:
        _check_pixels(path)
        image = read_image(path, notes.append)
        result = replace(model.predict(image), notes=tuple(note.message for note in notes))
    except DetkitError as error:
        return ImageOutput(None, "", "", status(_short_message(error, path), is_error=True))
    return render_result(model, result, threshold, labels)


def render_result(model: DemoModel, result: DemoResult, threshold: float,
                  labels: Sequence[int]) -> ImageOutput:
    """Draw and list the predictions selected by threshold and labels, without new inference."""
    begin = time.perf_counter()
    if isinstance(result.prediction, Detections):
        detections = filter_detections(result.prediction, threshold, labels)
        drawn = model.draw(result.image, detections)
        html = detections_table(detections, model.classes)
        summary = f"{len(detections)} {'object' if len(detections) == 1 else 'objects'} detected"
        num_hidden = len(result.prediction) - len(detections)
        if num_hidden:
            summary += f", {num_hidden} more below the threshold or of other classes"
    else:
        from detkit.visualization.label_annotator import upscale_small

        drawn = model.draw(upscale_small(result.image), result.prediction, threshold)
        html = class_bars(result.prediction, model.classes, TOP_K, threshold)
        summary = "classified"
    timings = {**result.timings, "draw": 1000 * (time.perf_counter() - begin)}
    height, width = result.image.shape[:2]
    line = "; ".join([f"{width} x {height} pixels, {summary}", *result.notes])
    return ImageOutput(drawn, html, budget(timings), status(line), result)


@dataclass
class CameraTimings:
    """The last images of a camera: when each was done, and the time of its steps."""

    done: list[float] = field(default_factory=list)
    timings: list[dict[str, float]] = field(default_factory=list)

    def add(self, timings: dict[str, float]) -> tuple[dict[str, float], float | None]:
        """Add an image; returns the medians, and the images per second (None for one image)."""
        # Start again after a pause, which is not inference time.
        now = time.perf_counter()
        if self.done and now - self.done[-1] > 2:
            self.done, self.timings = [], []
        self.done = [*self.done, now][-NUM_TIMED_FRAMES:]
        self.timings = [*self.timings, timings][-NUM_TIMED_FRAMES:]
        names = [name for name in timings if all(name in entry for entry in self.timings)]
        medians = {name: median(entry[name] for entry in self.timings) for name in names}
        elapsed = self.done[-1] - self.done[0]
        return medians, (len(self.done) - 1) / elapsed if elapsed > 0 else None


@dataclass(frozen=True)
class CameraOutput:
    """The output for a camera image: a data URL of a JPEG, and HTML."""

    image: str
    results: str
    budget: str
    times: CameraTimings


def predict_camera_frame(
    model: DemoModel, data_url: str | None, threshold: float, labels: Sequence[int],
    times: CameraTimings | None,
) -> CameraOutput:
    """Run inference on an image of the camera.

    The annotated image is returned in the response: 30 files per second would fill the disk.

    Args:
        model: the model.
        data_url: the image as a data URL, from a canvas of the browser.
        threshold: detections with a lower score are left out.
        labels: the classes to show; empty for all.
        times: of the previous images; None for the first.
    """
    times = times or CameraTimings()
    if not data_url:
        return CameraOutput("", "", "", times)
    begin = time.perf_counter()
    try:
        image = decode_data_url(data_url)
    except DataError as error:
        return CameraOutput("", status(str(error), is_error=True), "", times)
    decoded = 1000 * (time.perf_counter() - begin)
    result = model.predict(image)
    begin = time.perf_counter()
    if isinstance(result.prediction, Detections):
        detections = filter_detections(result.prediction, threshold, labels)
        drawn, html = model.draw(image, detections), detections_table(detections, model.classes)
    else:
        drawn = model.draw(image, result.prediction, threshold)
        html = class_bars(result.prediction, model.classes, TOP_K, threshold)
    drawing = 1000 * (time.perf_counter() - begin)
    begin = time.perf_counter()
    url = encode_data_url(drawn)
    encoding = 1000 * (time.perf_counter() - begin)
    timings = {"decode": decoded, **result.timings, "draw": drawing, "encode": encoding}
    medians, fps = times.add(timings)
    note = f"median of the last {len(times.done)} images; images in between are dropped"
    return CameraOutput(url, html, budget(medians, fps, note), times)


def decode_data_url(url: str) -> Image:
    """The (H, W, 3) uint8 RGB image of a base64 data URL.

    Raises:
        DataError: it cannot be decoded, or has more than ``MAX_CAMERA_PIXELS``, which is checked
            before decoding.
    """
    head, _, text = url.partition(",")
    size = "more"
    try:
        if not head.startswith("data:"):
            raise ValueError("not a data URL")
        encoded = io.BytesIO(base64.b64decode(text, validate=True))
        # The same reader for the size and the pixels: two could disagree on the size.
        with PillowImage.open(encoded, formats=CAMERA_FORMATS) as image:
            if image.width * image.height <= MAX_CAMERA_PIXELS:
                return np.asarray(image.convert("RGB"))
            size = f"{image.width} x {image.height}"
    except PillowImage.DecompressionBombError:
        pass
    except Exception:  # Pillow's plugins raise many types of errors for broken files
        raise DataError("the camera image cannot be decoded") from None
    raise DataError("the camera image has too many pixels", got=size,
                    expected=f"at most {MAX_CAMERA_PIXELS}")


def encode_data_url(image: Image) -> str:
    """An (H, W, 3) uint8 RGB image as the data URL of a JPEG."""
    stream = io.BytesIO()
    PillowImage.fromarray(image).save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _check_pixels(path: str) -> None:
    """Check the size of an image in its header; other errors are left to the decoder.

    Raises:
        DataError: it has more than ``MAX_IMAGE_PIXELS``.
    """
    register_heif()
    size = header_wh(path)
    if size is not None and size[0] * size[1] > MAX_IMAGE_PIXELS:
        raise DataError(f"{path}: the image has too many pixels", got=f"{size[0]} x {size[1]}",
                        expected=f"at most {MAX_IMAGE_PIXELS}", hint="scale it down")


def _short_message(error: DetkitError, path: str) -> str:
    """The message with the name of the file, without its folder and the hint for datasets."""
    return str(error).removesuffix(f"; {UNREADABLE_HINT}").replace(path, Path(path).name)
