"""Frames of a video that never come out of the decoder, found by packets and times."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

# By how much of its length a regular step between two frames may differ: times are rounded.
JITTER = 0.25
# The share of regular steps from which on a longer one is a gap, and not a rate that varies.
REGULAR_SHARE = 0.9


class LostFrames:
    """Counts what a file holds and its decoder does not give.

    Attributes:
        damaged: packets that the file's own format marks as damaged, or that cannot be decoded
            and are passed over.
        discarded: packets that the file itself says are not to be shown.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self.discarded = 0
        self._first_damage: int | None = None
        self._pts_before_first_frame: list[int] | None = [
        ]  # times of the packets until the first frame comes
        self._early = 0
        self._first: int | None = None
        self._last: int | None = None
        self._regular_steps = self._steps = 0  # steps from frame to frame
        self._missing = 0
        self._first_gap: int | None = None

    def add_packet(self, packet: Any) -> None:
        """Note a packet of the file, before it is decoded."""
        if packet.is_corrupt:
            self.add_damage(packet.pts)
        if packet.is_discard:
            self.discarded += 1
        elif self._pts_before_first_frame is not None and packet.size and packet.pts is not None:
            self._pts_before_first_frame.append(packet.pts)

    def add_damage(self, pts: int | None) -> None:
        """Note that a packet is damaged."""
        self.damaged += 1
        if self._first_damage is None:
            self._first_damage = pts

    def add_frame(self, pts: int | None, step: int) -> None:
        """Note a frame that was decoded.

        Args:
            pts: its time in ticks; None when the file gives none.
            step: the ticks from one frame to the next, where all are there.
        """
        if pts is None:
            return
        if self._pts_before_first_frame is not None:
            self._early = sum(early < pts for early in self._pts_before_first_frame)
            self._pts_before_first_frame, self._first = None, pts
        if self._last is not None:
            self._steps += 1
            gap = pts - self._last
            if abs(gap - step) <= max(1, JITTER * step):
                self._regular_steps += 1
            elif gap >= (2 - JITTER) * step:
                self._missing += round(gap / step) - 1
                if self._first_gap is None:
                    self._first_gap = self._last + step
        self._last = pts

    def notes(self, count: int, declared: int | None, time_base: Fraction) -> list[str]:
        """Sentences on what is missing; none when nothing is.

        Args:
            count: frames that came out.
            declared: frames that the file says it has; None when it does not say.
            time_base: the seconds of one tick.
        """
        def at(pts: int | None) -> str:
            if pts is None or self._first is None:
                return ""
            return f", the first at {max(0.0, float((pts - self._first) * time_base)):.2f} s"

        notes = []
        if self._early:
            notes.append(f"{_frames(self._early)} passed over at the beginning: what they refer to "
                         "is not in the file")
        if self.damaged:
            notes.append(f"damaged packets passed over or decoded as far as they can be: "
                         f"{self.damaged}{at(self._first_damage)}")
        if self._missing and self._regular_steps >= REGULAR_SHARE * self._steps:
            notes.append(f"{_frames(self._missing)} missing, by the times of the others"
                         f"{at(self._first_gap)}")
        if declared is not None and count < declared - self.discarded:
            notes.append(f"{count} of the {declared - self.discarded} frames that the file "
                         "declares could be read")
        return notes


def _frames(count: int) -> str:
    return "1 frame is" if count == 1 else f"{count} frames are"
