"""Means of the probabilities of the last frames, against sums by hand."""

import numpy as np
import pytest

from detkit.structures.classifications import Classifications
from detkit.video.analytics.score_window import ScoreWindow

FRAMES = [(1.0, 0.0), (0.5, 0.5), (0.0, 1.0), (0.25, 0.75)]


@pytest.mark.parametrize("size, first", [
    (1, [1.0, 0.5, 0.0, 0.25]),
    # (1 + 0.5) / 2, (0.5 + 0) / 2, (0 + 0.25) / 2
    (2, [1.0, 0.75, 0.25, 0.125]),
    # 1.5 / 2, 1.5 / 3, 0.75 / 3: the second frame is the mean of two
    (3, [1.0, 0.75, 0.5, 0.25]),
    # more than there are frames: 1.5 / 2, 1.5 / 3, 1.75 / 4
    (9, [1.0, 0.75, 0.5, 0.4375]),
])
def test_smoothed_is_mean_of_last_frames(size: int, first: list[float]) -> None:
    window = ScoreWindow(size)
    results = [window.add(Classifications(np.array(frame), (4, 6))) for frame in FRAMES]
    assert [scores.smoothed.probabilities[0] for scores in results] == pytest.approx(first)
    assert [float(scores.smoothed.probabilities.sum())
            for scores in results] == pytest.approx([1] * 4)
    assert [tuple(scores.raw.probabilities) for scores in results] == FRAMES
    assert all(scores.smoothed.size_hw == (4, 6) for scores in results)


def test_single_wrong_frame_does_not_change_label() -> None:
    window = ScoreWindow(5)
    frames = [(0.9, 0.1)] * 4 + [(0.0, 1.0)]
    last = [window.add(Classifications(np.array(frame), (4, 6))) for frame in frames][-1]
    # (4 * 0.9 + 0) / 5 = 0.72
    assert (last.raw.label, last.smoothed.label) == (1, 0)
    assert last.smoothed.score == pytest.approx(0.72)


@pytest.mark.parametrize("size", [0, -3])
def test_window_size_below_one_is_rejected(size: int) -> None:
    with pytest.raises(ValueError, match=f"got {size}, expected at least 1"):
        ScoreWindow(size)
