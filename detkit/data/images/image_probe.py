"""Probe image files by their first and last bytes: size, orientation, whether they are complete."""

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
NUM_THREADS = 8
# Images with more pixels are decoded one at a time, not in parallel.
LARGE_IMAGE_PIXELS = 1 << 25
_LARGE_IMAGE_LOCK = threading.Lock()
TRANSPOSED_ORIENTATIONS = frozenset({5, 6, 7, 8})


@dataclass(frozen=True)
class ImageInfo:
    """Information on an image file.

    Args:
        stored_wh: width and height in pixels as stored.
        orientation: EXIF orientation, 1 to 8.
        error: why it cannot be read; None when it can.
        notes: notes on how it is read, for the ledger.
    """

    stored_wh: tuple[int, int] = (0, 0)
    orientation: int = 1
    error: str | None = None
    notes: tuple[ImageNote, ...] = ()

    @property
    def upright_wh(self) -> tuple[int, int]:
        """Width and height in pixels after EXIF orientation is applied."""
        width, height = self.stored_wh
        return (height, width) if self.orientation in TRANSPOSED_ORIENTATIONS else (width, height)


def probe_image(path: Path) -> ImageInfo:
    """Probe the size and orientation of an image file, and whether it is complete.

    JPEG and PNG files are checked by header and end marker. Files without the marker, with 16
    bits or several frames, and of other formats, are decoded.
    """
    header_info: ImageInfo | None = None
    pixels = 0
    try:
        with open_image(path) as image:
            pixels = image.width * image.height
            if image.format in ("JPEG", "MPO", "PNG") and _has_end_marker(path, image.format):
                header_info = ImageInfo(image.size, orientation(image))
                if not (image.mode.startswith("I") or is_deep_color(image)
                        or frame_count(image) > 1):
                    return header_info
    except Exception:  # decoding below raises with a message
        pass
    notes: list[ImageNote] = []
    try:
        with _LARGE_IMAGE_LOCK if pixels > LARGE_IMAGE_PIXELS else nullcontext():
            height, width = read_image(path, notes.append).shape[:2]
    except DataError as error:
        return ImageInfo(error=str(error))
    if header_info is None:
        return ImageInfo((width, height), notes=tuple(notes))
    return replace(header_info, notes=tuple(notes))


def _has_end_marker(path: Path, image_format: str) -> bool:
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - TAIL_BYTES))
        tail = file.read()
    if image_format == "PNG":
        return tail.endswith(b"IEND\xaeB`\x82")
    return tail.rstrip(b"\x00\r\n").endswith(b"\xff\xd9")


def probe_images(paths: Sequence[Path], label: str = "images") -> list[ImageInfo]:
    """Probe many image files in the given order; with a progress bar when stderr is a terminal.

    The caller reports the notes: reading the files later does not log them again.

    Args:
        paths: image files.
        label: of the progress bar.
    """
    # Warning filters are global to the process: set once around the threads, not in each of them.
    with warnings.catch_warnings(), ThreadPoolExecutor(NUM_THREADS) as pool:
        warnings.simplefilter("ignore")
        infos = list(_with_progress(pool.map(probe_image, paths, chunksize=64), label, len(paths)))
    mark_logged(note for info in infos for note in info.notes)
    return infos


def _with_progress(infos: Iterable[ImageInfo], label: str, total: int) -> Iterable[ImageInfo]:
    if not sys.stderr.isatty():
        return infos
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(infos, f"reading {label}", total=total, console=console, transient=True)
