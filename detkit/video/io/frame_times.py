"""Timestamps of frames: start at 0, increase, and have no implausible jumps."""

from __future__ import annotations

from fractions import Fraction

# Maximum time between two frames; a longer step means that a clock was set, or damage. In an mp4 a
# step is less than 2**31 ticks, of at least 1 us here.
MAX_STEP_SECONDS = 6 * 3600
MAX_STEP_TICKS = 2**31 - 1
MIN_TIME_BASE = Fraction(1, 1_000_000)


class FrameTimes:
    """Computes the timestamp of each frame in ticks.

    A frame without a timestamp, or with a jump of more than six hours, is placed one regular step
    after the previous frame; a frame whose timestamp does not increase, one tick after it.

    Args:
        time_base: seconds per tick.
        step: ticks between frames, if nothing else is known.
        start: timestamp of the first frame in ticks; None if it has none.

    Attributes:
        num_jumps: number of jumps that were replaced.
        skipped_ticks: sum of the jumps, in ticks.
    """

    def __init__(self, time_base: Fraction, step: int, start: int | None) -> None:
        seconds = min(Fraction(MAX_STEP_SECONDS), MAX_STEP_TICKS * max(time_base, MIN_TIME_BASE))
        self._max_step = max(step, int(seconds / time_base))
        self._step = step
        self._start = start or 0
        self._last = -1
        self.num_jumps = self.skipped_ticks = 0

    def add(self, reported: int | None) -> int:
        """The timestamp of the next frame, whose timestamp in the stream is ``reported``."""
        time = self._last + self._step
        if self._last < 0:
            time = 0
        elif reported is not None:
            jump = reported - self._start - self.skipped_ticks - time
            if abs(jump) > self._max_step:
                self.num_jumps += 1
                self.skipped_ticks += jump
            else:
                time = max(time + jump, self._last + 1)
        self._last = time
        return time

    def duration(self, reported: int | None) -> int:
        """The duration of a frame in ticks; 0 if unknown or implausible."""
        return reported if reported is not None and 0 < reported <= self._max_step else 0

    def notes(self) -> list[str]:
        """A message about the jumps; empty if there are none."""
        if not self.num_jumps:
            return []
        return [
            f"timestamps with implausible jumps, each replaced by a regular step: {self.num_jumps}"
        ]
