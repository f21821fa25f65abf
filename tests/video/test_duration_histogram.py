"""Percentiles of the histogram, compared with numpy."""

import numpy as np
import pytest

from detkit.video.duration_histogram import DurationHistogram


def test_empty_histogram_is_zero() -> None:
    histogram = DurationHistogram()
    assert (histogram.count, histogram.total) == (0, 0.0)
    assert histogram.percentile(50) == histogram.percentile(99) == 0.0


@pytest.mark.parametrize("seconds", [
    np.random.default_rng(0).lognormal(-4, 1, 20_000),
    np.linspace(1e-6, 2000, 5_000),
    np.full(7, 0.0333),
], ids=["lognormal", "microsecond-to-half-an-hour", "one-value"])
def test_percentiles_are_accurate_to_half_a_percent(seconds: np.ndarray) -> None:
    histogram = DurationHistogram()
    for value in seconds:
        histogram.add(float(value))
    assert histogram.count == len(seconds)
    assert histogram.total == pytest.approx(1e3 * seconds.sum())
    for percent in (1, 50, 95, 99, 100):
        exact = 1e3 * np.percentile(seconds, percent, method="inverted_cdf")
        assert histogram.percentile(percent) == pytest.approx(exact, rel=0.0051)


@pytest.mark.parametrize("seconds, expected", [(0.0, 1e-3), (-1.0, 1e-3), (1e9, 2.3e7)])
def test_out_of_range_durations_fall_into_outermost_bins(seconds: float, expected: float) -> None:
    histogram = DurationHistogram()
    histogram.add(seconds)
    assert histogram.count == 1 and histogram.percentile(50) == pytest.approx(expected, rel=0.1)
