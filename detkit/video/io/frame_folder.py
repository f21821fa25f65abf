"""Frames out of a folder of numbered pictures."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detkit.data.images.open_image import stated_wh
from detkit.data.images.read_image import SUFFIXES, read_image
from detkit.errors import DataError, VideoError
from detkit.files import special_file
from detkit.video.io.containers import MAX_FRAME_PIXELS
from detkit.video.io.frame import Frame, VideoInfo

DEFAULT_RATE = Fraction(25)
NAMED = 5


class FrameFolder:
    """The pictures of one folder as a video; iterate over it once for its `Frame`.

    They come in natural order: 'frame9.png' before 'frame10.png'. Hidden files are left out;
    so are those without an image's suffix, and folders inside it, which ``notes`` names.

    Args:
        folder: where the pictures lie; all of one size.
        rate: how many make a second.
        max_pixels: pictures of more pixels are refused.

    Attributes:
        name, info, live, sound, sound_start, count, notes: as of `VideoReader`.

    Raises:
        VideoError: there is no picture in it, or the first cannot be read.
    """

    live = False
    sound = None
    sound_start = Fraction(0)

    def __init__(
        self, folder: str | Path, rate: Fraction = DEFAULT_RATE,
        max_pixels: int = MAX_FRAME_PIXELS,
    ) -> None:
        self._max_pixels = max_pixels
        self.name = str(folder)
        self.count = 0
        try:
            inside = list(Path(folder).iterdir())
        except OSError as error:
            raise VideoError(f"{folder}: cannot be read", got=error.strerror) from error
        self._files = sorted(
            (file for file in inside
             if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")),
            key=lambda file: natural_key(file.name),
        )
        if not self._files:
            raise VideoError(f"{folder}: no picture in it", got=f"{len(inside)} other files",
                             expected=f"files ending in {', '.join(sorted(SUFFIXES))}")
        self.notes = _left_out(self.name, sorted(
            file.name for file in set(inside) - set(self._files) if not file.name.startswith(".")))
        height, width = _read(self._files[0], max_pixels).shape[:2]
        self.info = VideoInfo(
            (height, width), 1 / Fraction(rate), Fraction(rate), len(self._files), Fraction(1),
            False,
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield every picture.

        Raises:
            VideoError: a picture cannot be read, or has another size than the first.
        """
        for file in self._files:
            begin = time.perf_counter()
            image = _read(file, self._max_pixels)
            if image.shape[:2] != self.info.size_hw:
                height, width = self.info.size_hw
                raise VideoError(
                    f"{file}: the pictures of a video have one size",
                    got=f"{image.shape[1]}x{image.shape[0]}",
                    expected=f"{width}x{height} as '{self._files[0].name}'",
                )
            self.count += 1
            yield Frame(self.count - 1, image, self.count - 1, 1, begin,
                        time.perf_counter() - begin)

    def close(self) -> None:
        """Nothing is held open."""


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts numbers inside names by value: 'a2' before 'a10', and 'a02' beside 'a2'."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part.lower())
                 for part in parts)


def _left_out(folder: str, names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    some = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    return (f"{folder}: left out, as their names do not end as an image's do: {len(names)} "
            f"({some})",)


def _read(file: Path, max_pixels: int) -> NDArray[np.uint8]:
    kind = special_file(file)
    if kind is not None:
        raise VideoError(f"{file}: is {kind}, not a picture", do="take it out of the folder")
    _check_pixels(file, max_pixels)
    try:
        return read_image(file)
    except DataError as error:
        raise VideoError(str(error)) from error


def _check_pixels(file: Path, max_pixels: int) -> None:
    """Judge a picture by its header; whether it is one at all its reading tells."""
    size = stated_wh(file)
    if size is not None and size[0] * size[1] > max_pixels:
        raise VideoError(f"{file}: has too many pixels", got=f"{size[0]}x{size[1]}",
                         expected=f"at most {max_pixels} pixels",
                         do="scale it down, or allow more with --max-pixels")
