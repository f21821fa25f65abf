"""Reads a folder of numbered images as a video."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detkit.data.images.open_image import header_wh
from detkit.data.images.read_image import IMG_EXTENSIONS, read_image
from detkit.errors import DataError, VideoError
from detkit.files import special_file_type
from detkit.video.io.containers import MAX_FRAME_PIXELS
from detkit.video.io.frame import Frame, VideoInfo

DEFAULT_FPS = Fraction(25)
MAX_LISTED = 5


class FrameFolder:
    """The images of a folder as a video; iterate over it once for its `Frame`.

    Images come in natural order: 'frame9.png' before 'frame10.png'. Hidden files are ignored.
    Files without the suffix of an image and subfolders are skipped and listed in ``notes``.

    Args:
        folder: the folder; all images must have the same size.
        fps: frame rate.
        max_pixels: maximum number of pixels of an image.

    Attributes:
        name, info, live, audio, audio_start, count, notes: see `VideoReader`.

    Raises:
        VideoError: there are no images, or the first cannot be read.
    """

    live = False
    audio = None
    audio_start = Fraction(0)

    def __init__(
        self, folder: str | Path, fps: Fraction = DEFAULT_FPS,
        max_pixels: int = MAX_FRAME_PIXELS,
    ) -> None:
        self._max_pixels = max_pixels
        self.name = str(folder)
        self.count = 0
        try:
            entries = list(Path(folder).iterdir())
        except OSError as error:
            raise VideoError(f"{folder}: cannot be read", got=error.strerror) from error
        self._files = sorted(
            (file for file in entries
             if file.suffix.lower() in IMG_EXTENSIONS and not file.name.startswith(".")),
            key=lambda file: natural_sort_key(file.name),
        )
        if not self._files:
            raise VideoError(f"{folder}: contains no images", got=f"{len(entries)} other files",
                             expected=f"files ending in {', '.join(sorted(IMG_EXTENSIONS))}")
        self.notes = _skipped_note(self.name, sorted(
            file.name for file in set(entries) - set(self._files) if not file.name.startswith(".")))
        height, width = _read_frame(self._files[0], max_pixels).shape[:2]
        self.info = VideoInfo(
            (height, width), 1 / Fraction(fps), Fraction(fps), len(self._files), Fraction(1),
            False,
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames.

        Raises:
            VideoError: an image cannot be read, or its size differs from the first.
        """
        for file in self._files:
            begin = time.perf_counter()
            image = _read_frame(file, self._max_pixels)
            if image.shape[:2] != self.info.size_hw:
                height, width = self.info.size_hw
                raise VideoError(
                    f"{file}: size differs from the first image",
                    got=f"{image.shape[1]}x{image.shape[0]}",
                    expected=f"{width}x{height}, as '{self._files[0].name}'",
                )
            self.count += 1
            yield Frame(self.count - 1, image, self.count - 1, 1, begin,
                        time.perf_counter() - begin)

    def close(self) -> None:
        """Do nothing; no file is open."""


def natural_sort_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that compares numbers in names by value: 'a2' before 'a10', 'a02' next to 'a2'."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part.lower())
                 for part in parts)


def _skipped_note(folder: str, names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    listed = ", ".join(names[:MAX_LISTED]) + (", ..." if len(names) > MAX_LISTED else "")
    return (f"{folder}: skipped, without the suffix of an image: {len(names)} ({listed})",)


def _read_frame(file: Path, max_pixels: int) -> NDArray[np.uint8]:
    file_type = special_file_type(file)
    if file_type is not None:
        raise VideoError(f"{file}: is {file_type}, not an image", hint="remove it from the folder")
    _check_pixels(file, max_pixels)
    try:
        return read_image(file)
    except DataError as error:
        raise VideoError(str(error)) from error


def _check_pixels(file: Path, max_pixels: int) -> None:
    """Check the size in an image's header; other errors are left to the decoder.

    Raises:
        VideoError: the image has more than ``max_pixels``.
    """
    size = header_wh(file)
    if size is not None and size[0] * size[1] > max_pixels:
        raise VideoError(f"{file}: has too many pixels", got=f"{size[0]}x{size[1]}",
                         expected=f"at most {max_pixels} pixels",
                         hint="scale it down, or allow more with --max-pixels")
