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
from detkit.video.io.frame_folder import DEFAULT_FPS, FrameFolder
from detkit.video.io.live_reader import LiveReader, open_camera
from detkit.video.io.reader import VideoReader

URL_PATTERN = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "udp", "tcp", "srt")


class Source(Protocol):
    """An opened source of frames; iterate over it once, then close it.

    Attributes:
        name: what messages call it.
        info: what it says of itself.
        live: whether its pictures come whether they are wanted or not, without an end.
        audio: the file whose sound belongs to the pictures; None without one.
        audio_start: the first picture's time on that file's clock, in seconds.
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
    def audio(self) -> Path | None: ...

    @property
    def audio_start(self) -> Fraction: ...

    @property
    def count(self) -> int: ...

    @property
    def notes(self) -> Sequence[str]: ...

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...


def open_source(
    text: str | Path, fps: Fraction | None = None, max_pixels: int = MAX_FRAME_PIXELS
) -> Source:
    """Open what ``text`` names: a camera's number, an address, a folder of pictures or a file.

    A file or folder that exists goes before a camera of that number.

    Args:
        text: '0', 'rtsp://host/stream', 'frames/' or 'clip.mp4'.
        fps: frames per second of a folder of pictures; 25 when left out.
        max_pixels: frames of more pixels are refused.

    Raises:
        VideoError: it cannot be opened, or a rate was given for what has its own.
        MissingExtraError: PyAV is not installed.
    """
    path, spec = Path(text), str(text)
    if path.is_dir():
        return FrameFolder(path, DEFAULT_FPS if fps is None else fps, max_pixels)
    if fps is not None:
        raise VideoError(f"{spec}: has its own times; only a folder of pictures needs a rate",
                         hint="leave --fps out")
    if is_camera(spec):
        return open_camera(int(spec), max_pixels)
    scheme = URL_PATTERN.match(spec)
    if scheme is None:
        return VideoReader(path, max_pixels)
    if scheme.group(1).lower() not in SCHEMES:
        raise VideoError(f"{spec}: the kind of address", got=f"'{scheme.group(1)}'",
                         expected=f"one of {', '.join(SCHEMES)}")
    # Over UDP pictures arrive torn wherever a packet is lost.
    options = {"rtsp_transport": "tcp"} if scheme.group(1).lower().startswith("rtsp") else {}
    return LiveReader(spec, options, max_pixels=max_pixels)


def is_camera(text: str) -> bool:
    """Whether ``text`` is a camera's number, and no file's name."""
    return text.isascii() and text.isdigit() and not Path(text).exists()


def is_url(text: str) -> bool:
    """Whether ``text`` is an address, and no file's name."""
    return URL_PATTERN.match(text) is not None
