"""Tracks of known motions."""

import sys

import numpy as np
import pytest

from detkit.errors import MissingExtraError
from detkit.structures.detections import Detections
from detkit.video.analytics.tracked_detections import TrackedDetections
from detkit.video.analytics.tracking import Tracker

SIZE = (480, 640)


def frame(*centers, scores=None, labels=None, side=40) -> Detections:
    """Squares with these centers; score 0.9 and label 0 by default."""
    points = np.array(centers, np.float32).reshape(-1, 2)
    return Detections(
        np.hstack([points - side / 2, points + side / 2]),
        np.full(len(points), 0.9, np.float32) if scores is None else np.array(scores, np.float32),
        np.zeros(len(points), np.int64) if labels is None else np.array(labels), SIZE,
    )


def test_empty_frames_are_counted() -> None:
    tracker = Tracker(30, 0.3)
    for _ in range(3):
        assert tracker(frame()) == TrackedDetections.empty(SIZE)
    assert tracker(frame((100, 100))).ids.tolist() == [-1]
    assert tracker(frame((102, 100))).ids.tolist() == [1]
    assert tracker(frame()) == TrackedDetections.empty(SIZE)
    assert tracker(frame((106, 100))).ids.tolist() == [1]


def test_tracked_detections_keep_order_and_values() -> None:
    tracker = Tracker(30, 0.3)
    tracker(frame((100, 100), (300, 100), (500, 100)))
    tracker(frame((100, 100), (300, 100), (500, 100)))
    shuffled = frame((500, 100), (30, 400), (100, 100), (300, 100), scores=[.4, .9, .8, .7],
                     labels=[3, 2, 1, 0])
    tracked = tracker(shuffled)
    assert tracked.detections == shuffled
    assert tracked.ids.tolist() == [3, -1, 1, 2]


def test_crossing_objects_keep_their_ids() -> None:
    # In opposite directions, 16 px apart vertically, so that they overlap in the middle.
    tracker = Tracker(30, 0.3)
    for step in range(60):
        ids = tracker(frame((100 + 6 * step, 200), (454 - 6 * step, 216))).ids.tolist()
        assert ids == ([-1, -1] if step == 0 else [1, 2])


@pytest.mark.parametrize(("hidden", "same"), [(10, True), (29, True), (40, False)], ids=str)
def test_track_survives_occlusion_below_one_second(hidden: int, same: bool) -> None:
    tracker = Tracker(30, 0.3)
    for step in range(20):
        tracker(frame((100 + 3 * step, 100)))
    for _ in range(hidden):
        tracker(frame())
    positions = [100 + 3 * (20 + hidden + step) for step in range(2)]
    assert [tracker(frame((x, 100))).ids.tolist() for x in positions][-1] == [1 if same else 2]


@pytest.mark.parametrize("fps", [10, 60])
def test_lost_track_second_follows_fps(fps: int) -> None:
    for hidden, same in ((fps - 2, True), (fps + 2, False)):
        tracker = Tracker(fps, 0.3)
        for _ in range(5):
            tracker(frame((100, 100)))
        for _ in range(hidden):
            tracker(frame())
        last = [tracker(frame((100, 100))).ids.tolist() for _ in range(2)][-1]
        assert last == [1 if same else 2]


def test_dropped_frames_do_not_break_a_track() -> None:
    # 8 px per frame: after 9 dropped frames it has moved 80 px, twice its width.
    tracker = Tracker(30, 0.3)
    x, ids = 60, []
    for skipped_frames in (0,) * 15 + (1, 2, 0, 9, 4, 0, 9):
        x += 8 * (1 + skipped_frames)
        ids += tracker(frame((x, 100)), skipped_frames=skipped_frames).ids.tolist()
    assert ids == [-1] + [1] * 21


def test_long_gap_ends_tracks_without_error() -> None:
    tracker = Tracker(30, 0.3)
    for _ in range(5):
        tracker(frame((100, 100)))
    assert tracker(frame((100, 100)), skipped_frames=3000).ids.tolist() == [-1]
    assert tracker(frame((100, 100))).ids.tolist() == [2]


def test_low_scores_continue_but_do_not_start_tracks() -> None:
    tracker = Tracker(30, 0.5)
    assert tracker.min_score == 0.1
    for step in range(5):
        tracked = tracker(frame((100 + step, 100), (400, 300), scores=[0.9, 0.4]))
        assert len(tracked) == 1  # the other is below the threshold
    for step in range(5, 10):
        tracked = tracker(frame((100 + step, 100), (400, 300), scores=[0.2, 0.4]))
        assert tracked.ids.tolist() == [1]
        assert tracked.detections.scores.tolist() == [np.float32(0.2)]
    assert len(tracker(frame((110, 100), scores=[0.05]))) == 0


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.1, 0.3, 0.7, 0.9, 1.0])
def test_score_equal_to_threshold_starts_a_track(threshold: float) -> None:
    tracker = Tracker(30, threshold)
    detections = frame((100, 100), scores=[threshold])
    assert [tracker(detections).ids.tolist() for _ in range(3)] == [[-1], [1], [1]]


def test_flickering_label_stays_one_track() -> None:
    tracker = Tracker(30, 0.3)
    ids = [tracker(frame((100 + step, 100), labels=[step % 2])).ids.tolist()
           for step in range(10)]
    assert ids == [[-1]] + [[1]] * 9


def test_hundred_objects_keep_distinct_tracks() -> None:
    start = np.stack(np.meshgrid(np.arange(10) * 60, np.arange(10) * 45), axis=-1).reshape(-1, 2)
    velocity = np.random.default_rng(0).uniform(-0.4, 0.4, start.shape)
    tracker = Tracker(30, 0.3)
    for step in range(20):
        tracked = tracker(frame(*(start + velocity * step), side=30))
        if step:
            assert tracked.ids.tolist() == list(range(1, 101))


def test_trackers_do_not_share_ids() -> None:
    for _ in range(2):
        tracker = Tracker(30, 0.3)
        assert [tracker(frame((9, 9))).ids.tolist() for _ in range(2)] == [[-1], [1]]


@pytest.mark.parametrize(("fps", "threshold"), [
    (0, 0.3), (-1, 0.3), (float("nan"), 0.3), (float("inf"), 0.3), (30, -0.1), (30, 1.1),
])
def test_invalid_fps_or_threshold_is_rejected(fps: float, threshold: float) -> None:
    with pytest.raises(ValueError, match="got"):
        Tracker(fps, threshold)


def test_negative_skipped_frames_are_rejected() -> None:
    with pytest.raises(ValueError, match="skipped_frames: got -1"):
        Tracker(30, 0.3)(frame(), skipped_frames=-1)


@pytest.mark.parametrize("library", ["trackers", "supervision"])
def test_missing_library_is_reported_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=rf"'{library}'.*detkit\[video\]"):
        Tracker(30, 0.3)


@pytest.mark.parametrize("ids", [[], [1], [1, 2, 3], [[1, 2]], [1, 1], [-2, 1]], ids=str)
def test_invalid_track_ids_are_rejected(ids) -> None:
    with pytest.raises(ValueError, match="ids: got"):
        TrackedDetections(frame((100, 100), (200, 100)), np.array(ids, np.int64))


def test_supervision_gets_the_same_boxes_and_ids() -> None:
    tracked = TrackedDetections(frame((100, 100), (200, 100), (300, 100)), np.array([7, -1, -1]))
    reference = tracked.to_supervision()
    assert reference.tracker_id.tolist() == [7, -1, -1]
    assert np.array_equal(reference.xyxy, tracked.detections.boxes_xyxy)
    with pytest.raises(ValueError, match="read-only"):
        tracked.ids[0] = 1
