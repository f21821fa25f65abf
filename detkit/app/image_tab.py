"""A picture, or one picture of the camera after the other, from the page to what is shown of it."""

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

MAX_IMAGE_PIXELS = 100_000_000  # of an uploaded picture, judged by its header
MAX_CAMERA_PIXELS = 2560 * 1440  # of a camera's; the page asks for 640 x 480
CAMERA_FORMATS = ("JPEG", "PNG", "WEBP")
MAX_CACHE_BYTES = 512 * 1024 * 1024  # of the pictures that can be drawn anew without a new look
NUM_TIMED_FRAMES = 30  # pictures of the camera that the frame budget is taken over


@dataclass(frozen=True)
class ImageOutput:
    """What the page shows of one look: a drawn picture (None: nothing to show), and html."""

    image: Image | None
    results: str
    budget: str
    status: str
    result: DemoResult | None = None


class ResultCache:
    """The last picture of each open page; beyond ``max_bytes`` the oldest leave.

    May be called from many threads.
    """

    def __init__(self, max_bytes: int = MAX_CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._results: OrderedDict[str, DemoResult] = OrderedDict()

    def get(self, tab: str) -> DemoResult | None:
        """The picture of a page; None when it had none, or it left."""
        with self._lock:
            return self._results.get(tab)

    def put(self, tab: str, result: DemoResult | None) -> None:
        """Keep a page's picture in place of the one before; None for none."""
        with self._lock:
            self._results.pop(tab, None)
            if result is not None:
                self._results[tab] = result
            while sum(entry.image.nbytes for entry in self._results.values()) > self._max_bytes:
                self._results.popitem(last=False)

    def drop(self, tab: str) -> None:
        """Forget a page."""
        self.put(tab, None)


def predict_file(
    model: DemoModel, path: str | None, threshold: float, labels: Sequence[int]
) -> ImageOutput:
    """Look at an uploaded picture; whatever is wrong with it becomes the one line of status."""
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
    """Draw what was seen, as threshold and classes choose of it, and say it; no new look."""
    begin = time.perf_counter()
    if isinstance(result.prediction, Detections):
        detections = filter_detections(result.prediction, threshold, labels)
        drawn = model.draw(result.image, detections)
        html = detections_table(detections, model.classes)
        summary = f"{len(detections)} {'object' if len(detections) == 1 else 'objects'} found"
        if len(detections) < len(result.prediction):
            summary += f", {len(result.prediction) - len(detections)} more below the threshold or filtered out"
    else:
        from detkit.visualization.label_annotator import upscale_small

        drawn = model.draw(upscale_small(result.image), result.prediction, threshold)
        html = class_bars(result.prediction, model.classes, TOP_K, threshold)
        summary = "named"
    timings = {**result.timings, "draw": 1000 * (time.perf_counter() - begin)}
    height, width = result.image.shape[:2]
    line = "; ".join([f"{width} x {height} pixels, {summary}", *result.notes])
    return ImageOutput(drawn, html, budget(timings), status(line), result)


@dataclass
class CameraTimings:
    """The last pictures of one camera: when each was done, and what its parts took."""

    done: list[float] = field(default_factory=list)
    timings: list[dict[str, float]] = field(default_factory=list)

    def add(self, timings: dict[str, float]) -> tuple[dict[str, float], float | None]:
        """The medians with the newest in, and pictures a second; None until there are two."""
        # As if anew after a pause, which would count as slowness.
        now = time.perf_counter()
        if self.done and now - self.done[-1] > 2:
            self.done, self.timings = [], []
        self.done, self.timings = [*self.done,
                                   now][-NUM_TIMED_FRAMES:], [*self.timings,
                                                              timings][-NUM_TIMED_FRAMES:]
        names = [name for name in timings if all(name in entry for entry in self.timings)]
        medians = {name: median(entry[name] for entry in self.timings) for name in names}
        elapsed = self.done[-1] - self.done[0]
        return medians, (len(self.done) - 1) / elapsed if elapsed > 0 else None


@dataclass(frozen=True)
class CameraOutput:
    """One picture of the camera as shown: a data address of a JPEG, and html."""

    image: str
    results: str
    budget: str
    times: CameraTimings


def predict_camera_frame(
    model: DemoModel, data_url: str | None, threshold: float, labels: Sequence[int],
    times: CameraTimings | None,
) -> CameraOutput:
    """Look at one picture of the camera.

    The picture goes back inside the answer: thirty files a second would fill the disk.

    Args:
        model: what looks.
        data_url: a data address, as the browser makes it of a canvas.
        threshold: finds below it are left out.
        labels: the classes to show; all when empty.
        times: of the pictures before; None for the first.
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
    note = f"median of the last {len(times.done)} pictures; those that came meanwhile are left out"
    return CameraOutput(url, html, budget(medians, fps, note), times)


def decode_data_url(url: str) -> Image:
    """The (H, W, 3) uint8 RGB picture of a base64 data address of an image.

    Raises:
        DataError: it holds no picture that can be decoded, or one of more than
            ``MAX_CAMERA_PIXELS`` pixels by its header; then nothing is decoded.
    """
    head, _, text = url.partition(",")
    size = "more"
    try:
        if not head.startswith("data:"):
            raise ValueError("no data address")
        encoded = io.BytesIO(base64.b64decode(text, validate=True))
        # One reader for the header and the pixels: two might disagree on the size.
        with PillowImage.open(encoded, formats=CAMERA_FORMATS) as image:
            if image.width * image.height <= MAX_CAMERA_PIXELS:
                return np.asarray(image.convert("RGB"))
            size = f"{image.width} x {image.height}"
    except PillowImage.DecompressionBombError:
        pass
    except Exception:  # Pillow's plugins raise many things on broken files
        raise DataError("the camera's picture cannot be decoded") from None
    raise DataError("the camera's picture has too many pixels", got=size,
                    expected=f"at most {MAX_CAMERA_PIXELS}")


def encode_data_url(image: Image) -> str:
    """An (H, W, 3) uint8 RGB picture as a data address that holds a JPEG."""
    stream = io.BytesIO()
    PillowImage.fromarray(image).save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _check_pixels(path: str) -> None:
    """Refuse a picture by its header; what is wrong with that, its reader says better.

    Raises:
        DataError: it has more than ``MAX_IMAGE_PIXELS`` pixels.
    """
    register_heif()
    size = header_wh(path)
    if size is not None and size[0] * size[1] > MAX_IMAGE_PIXELS:
        raise DataError(f"{path}: the picture has too many pixels", got=f"{size[0]} x {size[1]}",
                        expected=f"at most {MAX_IMAGE_PIXELS}", hint="scale it down")


def _short_message(error: DetkitError, path: str) -> str:
    """The message with the file's own name, and without the advice for files of a data set."""
    return str(error).removesuffix(f"; {UNREADABLE_HINT}").replace(path, Path(path).name)
