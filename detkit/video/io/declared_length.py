"""Whether a video came to the end that its file declares."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from detkit.errors import VideoError

CUT_OFF_SLACK_SECONDS = 0.5


def check_declared_length(name: str, stream: Any, start: int, count: int, end: Fraction) -> None:
    """A file that was cut off often just ends; its own words tell how long it should be.

    Args:
        name: what messages call it.
        stream: PyAV's.
        start: the first frame's time on the stream's clock, in ticks.
        count: the frames that came.
        end: where the last of them ends, in seconds from the first frame's time.

    Raises:
        VideoError: it ended more than half a second before its declared end.
    """
    expected = stream.frames if stream.frames > 0 else None
    if expected is not None and count >= expected:
        return
    declared = _declared_seconds(stream, start)
    if declared is not None and float(end) < declared - CUT_OFF_SLACK_SECONDS:
        raise VideoError(
            f"{name}: the file is cut off", got=f"{count} frames, {float(end):.2f} s",
            expected=f"{declared:.2f} s" if expected is None
            else f"{expected} frames, {declared:.2f} s",
        )


def _declared_seconds(stream: Any, start: int) -> float | None:
    if stream.frames and stream.duration:
        return float(stream.duration * (stream.time_base or 0))
    # Matroska writes 'HH:MM:SS.fraction' into the stream's tags.
    parts = str(stream.metadata.get("DURATION", "")).split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    # It counts from the container's zero, our frames from the first picture.
    return hours * 3600 + minutes * 60 + seconds - start * float(stream.time_base or 0)
