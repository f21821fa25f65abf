"""The first frames of a source, for trial runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

from detkit.errors import VideoError
from detkit.video.io.frame import Frame, VideoInfo
from detkit.video.io.source import Source

MAX_BUFFER_BYTES = 200_000_000


class FirstFrames:
    """The first frames of a source, as a `Source` without audio.

    The frames of a live source are read into memory first, so that reading them takes no time; if
    they are large, fewer than ``count``. Damage to a file ends the iteration without an error if
    there is at least one frame; the full run reports it.

    Args:
        source: an opened source; closed with this one.
        count: maximum number of frames; at least 1.

    Attributes:
        name, info, count: see `Source`; ``live`` is False, ``audio`` None.

    Raises:
        ValueError: ``count`` is below 1.
        VideoError: a live source fails.
    """

    live = False
    audio: Path | None = None
    audio_start = Fraction(0)

    def __init__(self, source: Source, count: int) -> None:
        if count < 1:
            raise ValueError(f"count: got {count}, expected at least 1")
        self._source = source
        self._max_frames = count
        self.count = 0
        self._buffer: list[Frame] | None = None
        if source.live:
            height, width = source.info.size_hw
            self._max_frames = max(1, min(count, MAX_BUFFER_BYTES // (3 * height * width)))
            self._buffer = list(islice(source, self._max_frames))

    @property
    def name(self) -> str:
        """The name of the source used in messages."""
        return self._source.name

    @property
    def info(self) -> VideoInfo:
        """The properties of the source, without the number of frames."""
        return replace(self._source.info, frame_count=None)

    @property
    def notes(self) -> Sequence[str]:
        """Always empty; the full run has the notes."""
        return ()

    def __iter__(self) -> Iterator[Frame]:
        frames = iter(self._source if self._buffer is None else self._buffer)
        while self.count < self._max_frames:
            try:
                frame = next(frames, None)
            except VideoError:
                if not self.count:
                    raise
                return
            if frame is None:
                return
            self.count += 1
            yield frame

    def close(self) -> None:
        """Close the source; may be called twice."""
        self._source.close()
