"""Detects frames that the decoder does not return, from packets and timestamps."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

# Relative tolerance of a regular step between two frames; timestamps are rounded.
JITTER = 0.25
# If this fraction of the steps is regular, a longer step is a gap; else the frame rate varies.
REGULAR_SHARE = 0.9


class LostFrames:
    """Counts frames that are in a file and that the decoder does not return.

    Attributes:
        damaged: packets that the container marks as corrupt, or that were skipped because they
            cannot be decoded.
        discarded: packets that the container marks as not to be displayed.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self.discarded = 0
        self._first_damage: int | None = None
        # Timestamps of packets; None once there is a frame.
        self._pts_before_first_frame: list[int] | None = []
        self._early = 0
        self._first: int | None = None
        self._last: int | None = None
        self._regular_steps = self._steps = 0  # steps from frame to frame
        self._missing = 0
        self._first_gap: int | None = None

    def add_packet(self, packet: Any) -> None:
        """Add a packet, before it is decoded."""
        if packet.is_corrupt:
            self.add_damage(packet.pts)
        if packet.is_discard:
            self.discarded += 1
        elif self._pts_before_first_frame is not None and packet.size and packet.pts is not None:
            self._pts_before_first_frame.append(packet.pts)

    def add_damage(self, pts: int | None) -> None:
        """Add a damaged packet."""
        self.damaged += 1
        if self._first_damage is None:
            self._first_damage = pts

    def add_frame(self, pts: int | None, step: int) -> None:
        """Add a decoded frame.

        Args:
            pts: its timestamp in ticks; None if it has none.
            step: ticks between frames, if none is missing.
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
        """Messages about missing frames; empty if there are none.

        Args:
            count: number of decoded frames.
            declared: number of frames declared by the file; None if it declares none.
            time_base: seconds per tick.
        """
        def at(pts: int | None) -> str:
            if pts is None or self._first is None:
                return ""
            return f", the first at {max(0.0, float((pts - self._first) * time_base)):.2f} s"

        notes = []
        if self._early:
            notes.append(f"{_frames(self._early)} skipped at the beginning: their reference frames "
                         "are not in the file")
        if self.damaged:
            notes.append(f"damaged packets skipped or partly decoded: "
                         f"{self.damaged}{at(self._first_damage)}")
        if self._missing and self._regular_steps >= REGULAR_SHARE * self._steps:
            notes.append(f"{_frames(self._missing)} missing, according to the timestamps"
                         f"{at(self._first_gap)}")
        if declared is not None and count < declared - self.discarded:
            notes.append(f"{count} of {declared - self.discarded} declared frames could be read")
        return notes


def _frames(count: int) -> str:
    return "1 frame is" if count == 1 else f"{count} frames are"
