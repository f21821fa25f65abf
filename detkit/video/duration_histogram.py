"""A histogram of durations with percentiles, in a fixed amount of memory."""

from __future__ import annotations

import math

SMALLEST_MS = 1e-3
# The upper edge of each bin is 1 % above its lower edge; the last bin starts above three hours.
GROWTH = math.log(1.01)
BINS = 2400


class DurationHistogram:
    """Counts durations in bins whose width grows by 1 %; percentiles are accurate to 0.5 %.

    One thread may add while others read.

    Attributes:
        count: number of durations.
        total: their sum, in milliseconds.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self._bins = [0] * BINS

    def add(self, seconds: float) -> None:
        """Add a duration in seconds; less than a microsecond counts as one microsecond."""
        milliseconds = max(seconds * 1e3, SMALLEST_MS)
        self._bins[min(int(math.log(milliseconds / SMALLEST_MS) / GROWTH), BINS - 1)] += 1
        self.count += 1
        self.total += milliseconds

    def percentile(self, percent: float) -> float:
        """The duration in milliseconds that ``percent`` % do not exceed; 0 if there are none.

        Args:
            percent: above 0, up to 100.
        """
        rank, cumulative = math.ceil(self.count * percent / 100), 0
        for bin_index, bin_count in enumerate(self._bins):
            cumulative += bin_count
            if bin_count and cumulative >= rank:
                return SMALLEST_MS * math.exp((bin_index + 0.5) * GROWTH)
        return 0.0
