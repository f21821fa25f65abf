"""Where frames come from: a file, a folder of pictures, a camera, an address."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from detkit.errors import VideoError
from detkit.video.io.containers import MAX_FRAME_PIXELS
from detkit.video.io.frame import Frame, VideoInfo
from detkit.video.io.frame_folder import DEFAULT_RATE, FrameFolder
from detkit.video.io.live_reader import LiveReader, open_camera
from detkit.video.io.reader import VideoReader

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "udp", "tcp", "srt")


class Source(Protocol):
    """An opened source of frames; iterate over it once, then close it.

    Attributes:
        name: what messages call it.
        info: what it says of itself.
        live: whether its pictures come whether they are wanted or not, without an end.
        sound: the file whose sound belongs to the pictures; None without one.
        sound_start: the first picture's time on that file's clock, in seconds.
        count: the frames that were given out so far.
        notes: sentences on frames and files that were passed over, as far as is known by now.
    """

    @property
    def name(self) -> str: ...

    @property
    def info(self) -> VideoInfo: ...

    @property
    def live(self) -> bool: ...

    @property
    def sound(self) -> Path | None: ...

    @property
    def sound_start(self) -> Fraction: ...

    @property
    def count(self) -> int: ...

    @property
    def notes(self) -> Sequence[str]: ...

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...


def open_source(
    text: str | Path, rate: Fraction | None = None, max_pixels: int = MAX_FRAME_PIXELS
) -> Source:
    """Open what ``text`` names: a camera's number, an address, a folder of pictures or a file.

    A file or folder that exists goes before a camera of that number.

    Args:
        text: '0', 'rtsp://host/stream', 'frames/' or 'clip.mp4'.
        rate: frames per second of a folder of pictures; 25 when left out.
        max_pixels: frames of more pixels are refused.

    Raises:
        VideoError: it cannot be opened, or a rate was given for what has its own.
        MissingExtraError: PyAV is not installed.
    """
    path, word = Path(text), str(text)
    if path.is_dir():
        return FrameFolder(path, DEFAULT_RATE if rate is None else rate, max_pixels)
    if rate is not None:
        raise VideoError(f"{word}: has its own times; only a folder of pictures needs a rate",
                         do="leave --fps out")
    if is_camera(word):
        return open_camera(int(word), max_pixels)
    scheme = ADDRESS.match(word)
    if scheme is None:
        return VideoReader(path, max_pixels)
    if scheme.group(1).lower() not in SCHEMES:
        raise VideoError(f"{word}: the kind of address", got=f"'{scheme.group(1)}'",
                         expected=f"one of {', '.join(SCHEMES)}")
    # Over UDP pictures arrive torn wherever a packet is lost.
    wish = {"rtsp_transport": "tcp"} if scheme.group(1).lower().startswith("rtsp") else {}
    return LiveReader(word, wish, max_pixels=max_pixels)


def is_camera(text: str) -> bool:
    """Whether ``text`` is a camera's number, and no file's name."""
    return text.isascii() and text.isdigit() and not Path(text).exists()


def is_address(text: str) -> bool:
    """Whether ``text`` is an address, and no file's name."""
    return ADDRESS.match(text) is not None
