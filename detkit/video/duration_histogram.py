"""Durations of a run of any length in a fixed piece of memory, for their percentiles."""

from __future__ import annotations

import math

SMALLEST_MS = 1e-3
# Each bin ends 1 % above the one before; the last one begins beyond three hours.
GROWTH = math.log(1.01)
BINS = 2400


class DurationHistogram:
    """Counts durations in bins that grow by 1 %: a percentile is true to half a percent.

    One thread adds; others may read at any time.

    Attributes:
        count: how many were added.
        total: their sum, in milliseconds.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self._bins = [0] * BINS

    def add(self, seconds: float) -> None:
        """Take one duration, given in seconds; one below a microsecond counts as that."""
        milliseconds = max(seconds * 1e3, SMALLEST_MS)
        self._bins[min(int(math.log(milliseconds / SMALLEST_MS) / GROWTH), BINS - 1)] += 1
        self.count += 1
        self.total += milliseconds

    def percentile(self, percent: float) -> float:
        """The duration, in milliseconds, that ``percent`` of those added do not pass; 0 of none.

        Args:
            percent: above 0, up to 100.
        """
        rank, cumulative = math.ceil(self.count * percent / 100), 0
        for bin_index, bin_count in enumerate(self._bins):
            cumulative += bin_count
            if bin_count and cumulative >= rank:
                return SMALLEST_MS * math.exp((bin_index + 0.5) * GROWTH)
        return 0.0
