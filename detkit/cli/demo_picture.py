"""A picture, or one picture of the camera after the other, from the page to what is shown of it."""

from __future__ import annotations

import base64
import binascii
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import numpy as np

from detkit.cli.demo_html import budget, class_bars, finds_table, status
from detkit.cli.demo_model import TOP_K, DemoModel, Seen, chosen
from detkit.data.image_notes import ImageNote
from detkit.data.images import REMEDY, read_image
from detkit.errors import DataError, DetkitError
from detkit.inference.adapter import Image
from detkit.structures.detections import Detections

MEMORY = 30  # pictures of the camera that the frame budget is taken over


@dataclass(frozen=True)
class Shown:
    """What the page shows of one look: a drawn picture (None: nothing to show), and html."""

    picture: Image | None
    found: str
    budget: str
    status: str
    seen: Seen | None = None


def look_at_file(
    model: DemoModel, path: str | None, threshold: float, labels: Sequence[int]
) -> Shown:
    """Look at an uploaded picture; whatever is wrong with it becomes the one line of status."""
    if path is None:
        return Shown(None, "", "", status())
    notes: list[ImageNote] = []
    try:
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
        from detkit.inference.class_drawing import enlarged

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
    """The (H, W, 3) uint8 RGB picture of a base64 data address.

    Raises:
        DataError: it holds no picture that can be decoded.
    """
    import cv2

    try:
        code = np.frombuffer(base64.b64decode(address.partition(",")[2], validate=True), np.uint8)
    except binascii.Error:
        code = np.zeros(0, np.uint8)
    bgr = cv2.imdecode(code, cv2.IMREAD_COLOR) if len(code) else None
    if bgr is None:
        raise DataError("the camera's picture cannot be decoded")
    rgb: Image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return rgb


def address_of_picture(image: Image) -> str:
    """An (H, W, 3) uint8 RGB picture as a data address that holds a JPEG."""
    from PIL import Image as PillowImage

    stream = io.BytesIO()
    PillowImage.fromarray(image).save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _named(error: DetkitError, path: str) -> str:
    """The message with the file's own name, and without the advice for files of a data set."""
    return str(error).removesuffix(f"; {REMEDY}").replace(path, Path(path).name)
