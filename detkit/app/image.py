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

from detkit.app.demo_model import TOP_K, DemoModel, Seen, chosen
from detkit.app.html import budget, class_bars, finds_table, status
from detkit.data.images.image_formats import register_heif
from detkit.data.images.open_image import stated_wh
from detkit.data.images.read_image import REMEDY, read_image
from detkit.data.images.read_notes import ImageNote
from detkit.errors import DataError, DetkitError
from detkit.inference.predictor_protocol import Image
from detkit.structures.detections import Detections

PICTURE_PIXELS = 100_000_000  # of an uploaded picture, judged by its header
CAMERA_PIXELS = 2560 * 1440  # of a camera's; the page asks for 640 x 480
CAMERA_FORMATS = ("JPEG", "PNG", "WEBP")
KEPT_BYTES = 512 * 1024 * 1024  # of the pictures that can be drawn anew without a new look
MEMORY = 30  # pictures of the camera that the frame budget is taken over


@dataclass(frozen=True)
class Shown:
    """What the page shows of one look: a drawn picture (None: nothing to show), and html."""

    picture: Image | None
    found: str
    budget: str
    status: str
    seen: Seen | None = None


class SeenPictures:
    """The last picture of each open page; beyond ``max_bytes`` the oldest leave.

    May be called from many threads.
    """

    def __init__(self, max_bytes: int = KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, Seen] = OrderedDict()

    def get(self, tab: str) -> Seen | None:
        """The picture of a page; None when it had none, or it left."""
        with self._lock:
            return self._seen.get(tab)

    def put(self, tab: str, seen: Seen | None) -> None:
        """Keep a page's picture in place of the one before; None for none."""
        with self._lock:
            self._seen.pop(tab, None)
            if seen is not None:
                self._seen[tab] = seen
            while sum(one.image.nbytes for one in self._seen.values()) > self._max_bytes:
                self._seen.popitem(last=False)

    def drop(self, tab: str) -> None:
        """Forget a page."""
        self.put(tab, None)


def look_at_file(
    model: DemoModel, path: str | None, threshold: float, labels: Sequence[int]
) -> Shown:
    """Look at an uploaded picture; whatever is wrong with it becomes the one line of status."""
    if path is None:
        return Shown(None, "", "", status())
    notes: list[ImageNote] = []
    try:
        _check_pixels(path)
        image = read_image(path, notes.append)
        seen = replace(model.look(image), notes=tuple(note.what for note in notes))
    except DetkitError as error:
        return Shown(None, "", "", status(_named(error, path), bad=True))
    return show(model, seen, threshold, labels)


def show(model: DemoModel, seen: Seen, threshold: float, labels: Sequence[int]) -> Shown:
    """Draw what was seen, as threshold and classes choose of it, and say it; no new look."""
    begin = time.perf_counter()
    if isinstance(seen.answer, Detections):
        found = chosen(seen.answer, threshold, labels)
        picture = model.draw(seen.image, found)
        said = finds_table(found, model.classes)
        word = f"{len(found)} {'object' if len(found) == 1 else 'objects'} found"
        if len(found) < len(seen.answer):
            word += f", {len(seen.answer) - len(found)} more below the threshold or filtered out"
    else:
        from detkit.visualization.label_annotator import enlarged

        picture = model.draw(enlarged(seen.image), seen.answer, threshold)
        said = class_bars(seen.answer, model.classes, TOP_K, threshold)
        word = "named"
    parts = {**seen.parts, "draw": 1000 * (time.perf_counter() - begin)}
    height, width = seen.image.shape[:2]
    line = "; ".join([f"{width} x {height} pixels, {word}", *seen.notes])
    return Shown(picture, said, budget(parts), status(line), seen)


@dataclass
class LiveTimes:
    """The last pictures of one camera: when each was done, and what its parts took."""

    done: list[float] = field(default_factory=list)
    parts: list[dict[str, float]] = field(default_factory=list)

    def add(self, parts: dict[str, float]) -> tuple[dict[str, float], float | None]:
        """The medians with the newest in, and pictures a second; None until there are two."""
        # As if anew after a pause, which would count as slowness.
        now = time.perf_counter()
        if self.done and now - self.done[-1] > 2:
            self.done, self.parts = [], []
        self.done, self.parts = [*self.done, now][-MEMORY:], [*self.parts, parts][-MEMORY:]
        names = [name for name in parts if all(name in one for one in self.parts)]
        middle = {name: median(one[name] for one in self.parts) for name in names}
        spent = self.done[-1] - self.done[0]
        return middle, (len(self.done) - 1) / spent if spent > 0 else None


@dataclass(frozen=True)
class LiveShown:
    """One picture of the camera as shown: a data address of a JPEG, and html."""

    picture: str
    found: str
    budget: str
    times: LiveTimes


def look_live(
    model: DemoModel, sent: str | None, threshold: float, labels: Sequence[int],
    times: LiveTimes | None,
) -> LiveShown:
    """Look at one picture of the camera.

    The picture goes back inside the answer: thirty files a second would fill the disk.

    Args:
        model: what looks.
        sent: a data address, as the browser makes it of a canvas.
        threshold: finds below it are left out.
        labels: the classes to show; all when empty.
        times: of the pictures before; None for the first.
    """
    times = times or LiveTimes()
    if not sent:
        return LiveShown("", "", "", times)
    begin = time.perf_counter()
    try:
        image = picture_of_address(sent)
    except DataError as error:
        return LiveShown("", status(str(error), bad=True), "", times)
    decoded = 1000 * (time.perf_counter() - begin)
    seen = model.look(image)
    begin = time.perf_counter()
    if isinstance(seen.answer, Detections):
        found = chosen(seen.answer, threshold, labels)
        drawn, said = model.draw(image, found), finds_table(found, model.classes)
    else:
        drawn = model.draw(image, seen.answer, threshold)
        said = class_bars(seen.answer, model.classes, TOP_K, threshold)
    drawing = 1000 * (time.perf_counter() - begin)
    begin = time.perf_counter()
    address = address_of_picture(drawn)
    encoding = 1000 * (time.perf_counter() - begin)
    parts = {"decode": decoded, **seen.parts, "draw": drawing, "encode": encoding}
    middle, fps = times.add(parts)
    note = f"median of the last {len(times.done)} pictures; those that came meanwhile are left out"
    return LiveShown(address, said, budget(middle, fps, note), times)


def picture_of_address(address: str) -> Image:
    """The (H, W, 3) uint8 RGB picture of a base64 data address of an image.

    Raises:
        DataError: it holds no picture that can be decoded, or one of more than ``CAMERA_PIXELS``
            pixels by its header; then nothing is decoded.
    """
    head, _, text = address.partition(",")
    size = "more"
    try:
        if not head.startswith("data:"):
            raise ValueError("no data address")
        code = io.BytesIO(base64.b64decode(text, validate=True))
        # One reader for the header and the pixels: two might disagree on the size.
        with PillowImage.open(code, formats=CAMERA_FORMATS) as image:
            if image.width * image.height <= CAMERA_PIXELS:
                return np.asarray(image.convert("RGB"))
            size = f"{image.width} x {image.height}"
    except PillowImage.DecompressionBombError:
        pass
    except Exception:  # Pillow's plugins raise many things on broken files
        raise DataError("the camera's picture cannot be decoded") from None
    raise DataError("the camera's picture has too many pixels", got=size,
                    expected=f"at most {CAMERA_PIXELS}")


def address_of_picture(image: Image) -> str:
    """An (H, W, 3) uint8 RGB picture as a data address that holds a JPEG."""
    stream = io.BytesIO()
    PillowImage.fromarray(image).save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _check_pixels(path: str) -> None:
    """Refuse a picture by its header; what is wrong with that, its reader says better.

    Raises:
        DataError: it has more than ``PICTURE_PIXELS`` pixels.
    """
    register_heif()
    size = stated_wh(path)
    if size is not None and size[0] * size[1] > PICTURE_PIXELS:
        raise DataError(f"{path}: the picture has too many pixels", got=f"{size[0]} x {size[1]}",
                        expected=f"at most {PICTURE_PIXELS}", do="scale it down")


def _named(error: DetkitError, path: str) -> str:
    """The message with the file's own name, and without the advice for files of a data set."""
    return str(error).removesuffix(f"; {REMEDY}").replace(path, Path(path).name)
