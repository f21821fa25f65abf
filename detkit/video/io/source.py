"""Opens the sources of frames: a file, a folder of images, a camera, a URL."""

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
        name: the name used in messages.
        info: the properties of the video.
        live: whether frames arrive in real time and without an end.
        audio: the file with the audio; None if there is none.
        audio_start: timestamp of the first video frame in that file, in seconds.
        count: number of frames read so far.
        notes: messages about frames and files skipped so far.
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
    """Open a camera by its index, a URL, a folder of images or a file.

    An existing file or folder named '0' takes precedence over camera 0.

    Args:
        text: '0', 'rtsp://host/stream', 'frames/' or 'clip.mp4'.
        fps: frame rate of a folder of images; 25 if None.
        max_pixels: maximum number of pixels of a frame.

    Raises:
        VideoError: it cannot be opened, or ``fps`` is given for a source other than a folder.
        MissingExtraError: PyAV is not installed.
    """
    path, spec = Path(text), str(text)
    if path.is_dir():
        return FrameFolder(path, DEFAULT_FPS if fps is None else fps, max_pixels)
    if fps is not None:
        raise VideoError(f"{spec}: has its own timestamps; --fps is for a folder of images only",
                         hint="leave --fps out")
    if is_camera(spec):
        return open_camera(int(spec), max_pixels)
    scheme = URL_PATTERN.match(spec)
    if scheme is None:
        return VideoReader(path, max_pixels)
    if scheme.group(1).lower() not in SCHEMES:
        raise VideoError(f"{spec}: unknown URL scheme", got=f"'{scheme.group(1)}'",
                         expected=f"one of {', '.join(SCHEMES)}")
    # Over UDP, frames are damaged wherever a packet is lost.
    options = {"rtsp_transport": "tcp"} if scheme.group(1).lower().startswith("rtsp") else {}
    return LiveReader(spec, options, max_pixels=max_pixels)


def is_camera(text: str) -> bool:
    """Whether ``text`` is a camera index, and not an existing file."""
    return text.isascii() and text.isdigit() and not Path(text).exists()


def is_url(text: str) -> bool:
    """Whether ``text`` is a URL."""
    return URL_PATTERN.match(text) is not None
