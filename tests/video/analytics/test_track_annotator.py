"""Positions and colors of drawn tracks, traces and counts."""

import numpy as np
import pytest

from detkit.structures.detections import Detections
from detkit.video.analytics.line_counter import LineCounter
from detkit.video.analytics.track_annotator import GRAY, TrackAnnotator
from detkit.video.analytics.tracked_detections import TrackedDetections
from detkit.video.analytics.zone_counter import ZoneCounter
from detkit.visualization.box_annotator import class_color

GROUND = 90
SIZE = (240, 320)


def blank() -> np.ndarray:
    return np.full((*SIZE, 3), GROUND, np.uint8)


def at(*centers, ids=(7,), side=40, labels=None) -> TrackedDetections:
    """Squares with these centers; label 0 by default."""
    points = np.array(centers, np.float32).reshape(-1, 2)
    detections = Detections(
        np.hstack([points - side / 2, points + side / 2]),
        np.full(len(points), 0.87, np.float32),
        np.zeros(len(points), np.int64) if labels is None else np.array(labels), SIZE)
    return TrackedDetections(detections, np.array(ids[:len(points)], np.int64))


def has(image: np.ndarray, color) -> np.ndarray:
    """(H, W) bool, where the image has this color."""
    return (image == np.array(color, np.uint8)).all(axis=2)


def test_empty_frame_gives_a_copy() -> None:
    image = blank()
    drawn = TrackAnnotator(["car"])(image, TrackedDetections.empty(SIZE))
    assert np.array_equal(drawn, image) and drawn is not image


def test_track_keeps_its_color_across_frames_and_classes() -> None:
    annotator = TrackAnnotator(["car", "bus"])
    for ids, labels in (((7, 8), (0, 1)), ((8, 7), (0, 0)), ((7, -1), (1, 1))):
        tracked = at((80, 120), (220, 120), ids=ids, labels=labels)
        drawn = annotator(blank(), tracked)
        for track_id, x in zip(ids, (80, 220)):
            color = GRAY if track_id == -1 else class_color(track_id)
            assert tuple(drawn[140, x + 15]) == color


def test_label_shows_class_id_and_score() -> None:
    def text_mask(name: str, track_id: int) -> np.ndarray:
        # Each with a new annotator, so that only the color differs.
        drawn = TrackAnnotator([name])(blank(), at((160, 120), ids=(track_id,)))
        return has(drawn, GRAY if track_id < 0 else class_color(track_id))

    width = {key: np.flatnonzero(text_mask(*key)[:98].any(axis=0)).max()
             for key in (("car", -1), ("car", 7), ("car", 77), ("cargo", 77))}
    assert width["car", -1] < width["car", 7] < width["car", 77] < width["cargo", 77]


def test_trace_is_drawn_and_expires() -> None:
    annotator = TrackAnnotator(["car"], trace_length=10)
    for x in range(60, 180, 10):
        drawn = annotator(blank(), at((x, 120)))
    # The last center is 170; ten frames before it was 70, and 60 has expired.
    trace = np.flatnonzero(has(drawn, class_color(7))[120, :149])
    assert (trace.min(), trace.max()) == (70, 148) and len(trace) == 148 - 70 + 1
    for _ in range(11):
        drawn = annotator(blank(), TrackedDetections.empty(SIZE))
    assert not annotator._traces
    assert np.array_equal(drawn, blank())


def test_jittering_object_leaves_no_trace() -> None:
    annotator = TrackAnnotator(["car"])
    for step in range(20):
        drawn = annotator(blank(), at((160 + step % 2, 120)))
    assert not has(drawn, class_color(7))[115:125, 150:170].any()


def test_no_trace_when_disabled_or_untracked() -> None:
    for annotator, track_id in ((TrackAnnotator(["car"], trace_length=0), 7),
                                (TrackAnnotator(["car"]), -1)):
        for x in range(60, 180, 10):
            drawn = annotator(blank(), at((x, 120), ids=(track_id,)))
        assert (drawn[115:125, 60:145] == GROUND).all()


def test_line_counts_are_drawn_on_the_side_that_tracks_move_to() -> None:
    line = LineCounter((20, 120), (300, 120))  # upwards is in
    annotator = TrackAnnotator(["car"], [line])
    before = annotator(blank(), TrackedDetections.empty(SIZE))
    assert has(before, (255, 255, 255))[120, 25:295].all()
    for y in (60, 200):
        line(at((160, y)))
    assert line.out_count == 1
    after = annotator(blank(), TrackedDetections.empty(SIZE))
    changed = np.flatnonzero((before != after).any(axis=(1, 2)))
    assert changed.min() > 120  # 'out 0' became 'out 1', below the line
    for y in (200, 60):
        line(at((160, y)))
    last = annotator(blank(), TrackedDetections.empty(SIZE))
    changed = np.flatnonzero((after != last).any(axis=(1, 2)))
    assert changed.max() < 120


def test_annotator_draws_zone_counts_without_changing_them() -> None:
    zone = ZoneCounter([(60, 40), (260, 40), (260, 200), (60, 200)])
    annotator = TrackAnnotator(["car"], [zone])
    before = annotator(blank(), at((160, 80)))
    assert zone.unique_count == 0
    for points in (before[40, 65:255], before[200, 65:255], before[45:195, 60]):
        assert (points == 255).all()
    zone(at((160, 80)))
    after = annotator(blank(), at((160, 80)))
    assert (before != after)[100:140].any()


@pytest.mark.parametrize("center", [(-500, 120), (160, 5000), (160, -40), (99e3, -99e3)], ids=str)
def test_counters_outside_the_frame_are_drawn_safely(center) -> None:
    x, y = center
    counters = [LineCounter((x, y), (x + 90, y)), ZoneCounter([(x, y), (x + 9, y), (x, y + 9)])]
    assert TrackAnnotator(["car"], counters)(blank(), at((160, 120))).shape == (*SIZE, 3)


def test_in_place_draws_same_result_on_input() -> None:
    image = blank()
    copy = TrackAnnotator(["car"])(image, at((160, 120)))
    assert (image == GROUND).all()
    assert TrackAnnotator(["car"])(image, at((160, 120)), in_place=True) is image
    assert np.array_equal(image, copy)
