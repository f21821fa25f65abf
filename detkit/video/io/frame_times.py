"""The time of each frame, from what a stream says of it: from 0, rising, without absurd leaps."""

from __future__ import annotations

from fractions import Fraction

# A frame may come so long after the one before it. A longer step is a clock that was set, or
# damage; an mp4 holds a step of less than 2**31 of its ticks, the finest of which is 1 us here.
MAX_STEP_SECONDS = 6 * 3600
MAX_STEP_TICKS = 2**31 - 1
MIN_TIME_BASE = Fraction(1, 1_000_000)


class FrameTimes:
    """Gives each frame its time in ticks.

    A frame without a time, or one that leaps by more than six hours, is put one regular step
    after the frame before; one whose time does not rise, one tick after it.

    Args:
        time_base: the seconds of one tick.
        step: the ticks from one frame to the next, where nothing else is known.
        start: what the stream says of its first frame, in ticks; None when nothing.

    Attributes:
        num_jumps: how many times leapt and were not taken as they are.
        skipped_ticks: the ticks that were left out so.
    """

    def __init__(self, time_base: Fraction, step: int, start: int | None) -> None:
        seconds = min(Fraction(MAX_STEP_SECONDS), MAX_STEP_TICKS * max(time_base, MIN_TIME_BASE))
        self._max_step = max(step, int(seconds / time_base))
        self._step = step
        self._start = start or 0
        self._last = -1
        self.num_jumps = self.skipped_ticks = 0

    def add(self, reported: int | None) -> int:
        """The time of the next frame, of which the stream says ``reported``."""
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
        """A frame's duration in ticks; 0 when it is not known, or not to be believed."""
        return reported if reported is not None and 0 < reported <= self._max_step else 0

    def notes(self) -> list[str]:
        """A sentence on times that leapt; none without."""
        if not self.num_jumps:
            return []
        return [
            f"times of frames that leap too far, each taken as one regular step: {self.num_jumps}"
        ]
