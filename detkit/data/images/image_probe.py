"""What the first and last bytes of image files tell: size, orientation, whether they are whole."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from detkit.data.images.deep_color import is_deep_color
from detkit.data.images.open_image import open_image
from detkit.data.images.read_image import frame_count, orientation, read_image
from detkit.data.images.read_notes import ImageNote, mark_logged
from detkit.errors import DataError

TAIL_BYTES = 64
THREADS = 8
# Pixels above which one image is decoded at a time, whatever the threads.
LARGE = 1 << 25
_ONE_LARGE = threading.Lock()
TURNED = frozenset({5, 6, 7, 8})


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image file without decoding it.

    Args:
        stored_wh: width and height in pixels as stored.
        orientation: EXIF orientation, 1 to 8.
        fault: why it cannot be read; None when it can.
        notes: what reading it had to decide, for the ledger.
    """

    stored_wh: tuple[int, int] = (0, 0)
    orientation: int = 1
    fault: str | None = None
    notes: tuple[ImageNote, ...] = ()

    @property
    def seen_wh(self) -> tuple[int, int]:
        """Width and height in pixels as a person sees it."""
        width, height = self.stored_wh
        return (height, width) if self.orientation in TURNED else (width, height)


def image_facts(path: Path) -> ImageFacts:
    """Size, orientation and wholeness of one image file.

    JPEG and PNG files are judged by header and end marker; those without the marker, those of
    16 bits or several frames, and all other formats, are decoded to find out.
    """
    stored: ImageFacts | None = None
    pixels = 0
    try:
        with open_image(path) as image:
            pixels = image.width * image.height
            if image.format in ("JPEG", "MPO", "PNG") and _has_end(path, image.format):
                stored = ImageFacts(image.size, orientation(image))
                if not (image.mode.startswith("I") or is_deep_color(image)
                        or frame_count(image) > 1):
                    return stored
    except Exception:  # whatever is wrong, decoding below words it
        pass
    notes: list[ImageNote] = []
    try:
        with _ONE_LARGE if pixels > LARGE else nullcontext():
            height, width = read_image(path, notes.append).shape[:2]
    except DataError as error:
        return ImageFacts(fault=str(error))
    if stored is None:
        return ImageFacts((width, height), notes=tuple(notes))
    return replace(stored, notes=tuple(notes))


def _has_end(path: Path, form: str) -> bool:
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - TAIL_BYTES))
        tail = file.read()
    if form == "PNG":
        return tail.endswith(b"IEND\xaeB`\x82")
    return tail.rstrip(b"\x00\r\n").endswith(b"\xff\xd9")


def survey(paths: Sequence[Path], label: str = "images") -> list[ImageFacts]:
    """Facts of many image files, in the order given; a progress bar when stderr is a terminal.

    Whoever asks says the notes: reading the same files later does not log them again.
    """
    # Filters belong to the process: set once around the threads, not in each of them.
    with warnings.catch_warnings(), ThreadPoolExecutor(THREADS) as pool:
        warnings.simplefilter("ignore")
        facts = list(_shown(pool.map(image_facts, paths, chunksize=64), label, len(paths)))
    mark_logged(note for fact in facts for note in fact.notes)
    return facts


def _shown(facts: Iterable[ImageFacts], label: str, total: int) -> Iterable[ImageFacts]:
    if not sys.stderr.isatty():
        return facts
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(facts, f"reading {label}", total=total, console=console, transient=True)
