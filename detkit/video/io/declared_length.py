"""Checks whether a video is as long as its file declares."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from detkit.errors import VideoError

CUT_OFF_SLACK_SECONDS = 0.5


def check_declared_length(name: str, stream: Any, start: int, count: int, end: Fraction) -> None:
    """Detect a truncated file, which often ends without an error.

    Args:
        name: the name used in messages.
        stream: PyAV's stream.
        start: the timestamp of the first frame, in ticks of the stream.
        count: number of decoded frames.
        end: the end of the last frame, in seconds after the first timestamp.

    Raises:
        VideoError: the video ends more than half a second before its declared end.
    """
    expected = stream.frames if stream.frames > 0 else None
    if expected is not None and count >= expected:
        return
    declared = _declared_seconds(stream, start)
    if declared is not None and float(end) < declared - CUT_OFF_SLACK_SECONDS:
        raise VideoError(
            f"{name}: the file is truncated", got=f"{count} frames, {float(end):.2f} s",
            expected=f"{declared:.2f} s" if expected is None
            else f"{expected} frames, {declared:.2f} s",
        )


def _declared_seconds(stream: Any, start: int) -> float | None:
    if stream.frames and stream.duration:
        return float(stream.duration * (stream.time_base or 0))
    # A tag of Matroska streams, 'HH:MM:SS.fraction'.
    parts = str(stream.metadata.get("DURATION", "")).split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    # The tag counts from time 0 of the container, ``end`` from the first frame.
    return hours * 3600 + minutes * 60 + seconds - start * float(stream.time_base or 0)
