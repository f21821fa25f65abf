"""Counts of lines and zones for known paths."""

import numpy as np
import pytest
import supervision

from detkit.errors import VideoError
from detkit.structures.detections import Detections
from detkit.video.analytics.line_counter import LOST_TRACK_FRAMES, Crossing, LineCounter
from detkit.video.analytics.tracked_detections import TrackedDetections
from detkit.video.analytics.zone_counter import ZoneCounter

SIZE = (240, 320)


def at(*centers, ids=None, labels=None, side=10.0, width=None) -> TrackedDetections:
    """Boxes with these centers, ``side`` high and ``width`` wide; ids 1, 2, ... and label 0."""
    points = np.array(centers, np.float32).reshape(-1, 2)
    half = np.array([side if width is None else width, side], np.float32) / 2
    labels = np.zeros(len(points), np.int64) if labels is None else np.array(labels)
    detections = Detections(np.hstack([points - half, points + half]),
                            np.full(len(points), 0.9, np.float32), labels, SIZE)
    ids = np.arange(1, len(points) + 1) if ids is None else np.array(ids)
    return TrackedDetections(detections, ids)


def line(start=(100, 100), end=(200, 100), **kwargs) -> LineCounter:
    """By default from left to right: upwards is in."""
    return LineCounter(start, end, **kwargs)


def counts(counter: LineCounter, path) -> tuple[int, int]:
    """(in, out) counts for a path of points (x, y); None for a frame without detections."""
    for center in path:
        counter(at() if center is None else at(center))
    return counter.in_count, counter.out_count


@pytest.mark.parametrize(("path", "expected"), [
    ([], (0, 0)),
    ([(150, 60), (150, 80)], (0, 0)),
    ([(150, 60), (150, 80), (150, 120)], (0, 1)),
    ([(150, 140), (150, 120), (150, 80)], (1, 0)),
    ([(150, 60), (150, 140), (150, 60), (150, 140)], (1, 2)),
    # Boxes are 10 high, so the dead band reaches 1 px from the line.
    ([(150, 60), (150, 100), (150, 100), (150, 100)], (0, 0)),
    ([(150, 60), (150, 100), (150, 100), (150, 60)], (0, 0)),
    ([(150, 60), (150, 100), (150, 100), (150, 102)], (0, 1)),
    ([(150, 100), (150, 140)], (0, 0)),
    ([(150, 60)] + [(150, 99.5), (150, 100.5)] * 20 + [(150, 120)], (0, 1)),
    ([(150, 60)] + [(150, 99.5), (150, 100.5)] * 20 + [(150, 80)], (0, 0)),
    # Hidden while it crosses.
    ([(150, 80), None, None, None, None, (150, 120)], (0, 1)),
    # Beyond the end point of the line, (200, 100).
    ([(230, 60), (230, 140)], (0, 0)),
    ([(150, 60), (250, 60), (250, 140), (150, 140)], (0, 0)),
    ([(150, 60), (250, 60), (250, 140), (150, 140), (150, 60)], (1, 0)),
    # Diagonally past the end: from (190, 60) to (230, 140) crosses y = 100 at x = 210.
    ([(190, 60), (230, 140)], (0, 0)),
    ([(170, 60), (210, 140)], (0, 1)),
], ids=str)
def test_line_crossings_of_one_track(path, expected) -> None:
    assert counts(line(), path) == expected


@pytest.mark.parametrize(("start", "end", "path", "expected"), [
    ((100, 100), (200, 100), [(150, 60), (150, 140)], (0, 1)),
    ((200, 100), (100, 100), [(150, 60), (150, 140)], (1, 0)),
    ((160, 50), (160, 200), [(100, 120), (220, 120)], (1, 0)),
    ((160, 200), (160, 50), [(100, 120), (220, 120)], (0, 1)),
    ((100, 50), (200, 150), [(180, 70), (120, 130)], (0, 1)),
], ids=["right", "left", "down", "up", "slant"])
def test_left_side_counts_as_in_like_supervision(start, end, path, expected) -> None:
    reference = supervision.LineZone(supervision.Point(*start), supervision.Point(*end))
    for center in path:
        reference.trigger(at(center).to_supervision())
    assert counts(line(start, end), path) == expected == (reference.in_count, reference.out_count)


def test_many_straight_tracks_match_supervision() -> None:
    # Supervision counts paths around the end of the line, so the line is longer than the image.
    # All paths begin and end away from the line, where the two use different points of the box.
    rng = np.random.default_rng(5)
    begin, step = rng.uniform([40, 40], [280, 200], (90, 2)), rng.uniform(-6, 6, (90, 2))
    clear = [np.abs(y - 90 - (x + 900) * 60 / 2100) > 5
             for x, y in (begin.T, (begin + 59 * step).T)]
    begin, step = begin[clear[0] & clear[1]], step[clear[0] & clear[1]]
    counter = LineCounter((-900, 90), (1200, 150))
    reference = supervision.LineZone(supervision.Point(-900, 90), supervision.Point(1200, 150))
    labels = rng.integers(0, 3, len(begin))
    for number in range(60):
        tracked = at(*(begin + number * step), labels=labels, side=2)
        counter(tracked)
        reference.trigger(tracked.to_supervision())
    assert counter.in_count > 5 and counter.out_count > 5
    assert counter.in_count_per_class == reference.in_count_per_class
    assert counter.out_count_per_class == reference.out_count_per_class


def test_box_wider_than_the_line_is_counted() -> None:
    counter = line()
    for y in (60, 80, 120, 140):
        counter(at((150, y), width=180))
    assert (counter.in_count, counter.out_count) == (0, 1)


def test_bottom_anchor_crosses_before_center() -> None:
    center, bottom = line(), line(anchor="bottom")
    for y in (70, 80, 90):  # the lower side, 20 px below, reaches 110
        center(at((150, y), side=40))
        bottom(at((150, y), side=40))
    assert (center.out_count, bottom.out_count) == (0, 1)


def test_crossings_carry_track_label_and_direction() -> None:
    counter = line()
    assert counter(at((150, 60), (160, 140), (170, 60), ids=[4, 7, -1], labels=[1, 2, 0])) == []
    assert counter(at((160, 60), (150, 140), (170, 140), ids=[7, 4, -1], labels=[2, 1, 0])) == [
        Crossing(id=7, label=2, entering=True), Crossing(id=4, label=1, entering=False),
    ]
    assert (counter.in_count_per_class, counter.out_count_per_class) == ({2: 1}, {1: 1})
    assert counter(at((160, 60), (150, 140), ids=[7, 4], labels=[2, 1])) == []


def test_ended_tracks_are_forgotten_but_stay_counted() -> None:
    counter, zone = line(), ZoneCounter([(100, 100), (200, 100), (200, 200), (100, 200)])
    for track in range(1, 2 * LOST_TRACK_FRAMES):
        for y in (80, 120):
            tracked = at((150, y), ids=[track])
            counter(tracked)
            zone(tracked)
    assert counter.out_count == zone.unique_count == 2 * LOST_TRACK_FRAMES - 1
    assert len(counter._track_states) <= LOST_TRACK_FRAMES >= len(zone._last_frames)


@pytest.mark.parametrize("end", [(100, 100), (float("nan"), 5), (1e12, 5)], ids=str)
def test_zero_length_line_is_rejected(end) -> None:
    with pytest.raises(VideoError, match="count line: got .* expected"):
        LineCounter((100, 100), end)


SQUARE = [(100, 100), (200, 100), (200, 200), (100, 200)]


def test_zone_counts_current_and_unique_tracks() -> None:
    zone = ZoneCounter(SQUARE, anchor="center")
    assert zone(at()).tolist() == []
    assert (zone.current_count, zone.unique_count) == (0, 0)
    assert zone(at((150, 150), (50, 50), labels=[2, 1])).tolist() == [True, False]
    assert (zone.current_count, zone.unique_count) == (1, 1)
    for _ in range(3):  # the first leaves and enters again, the second enters
        zone(at((99, 150), (150, 150), labels=[2, 1]))
        zone(at((101, 150), (150, 150), labels=[2, 1]))
    assert (zone.current_count, zone.unique_count) == (2, 2)
    zone(at())
    assert (zone.current_count, zone.unique_count) == (0, 2)
    assert zone.unique_count_per_class == {2: 1, 1: 1}


def test_zone_uses_bottom_anchor_by_default() -> None:
    tracked = at((150, 90), (150, 190), side=40)  # lower sides at 110 and 210
    assert ZoneCounter(SQUARE)(tracked).tolist() == [True, False]
    assert ZoneCounter(SQUARE, anchor="center")(tracked).tolist() == [False, True]


def test_inside_matches_supervision() -> None:
    corners = [(60, 30), (250, 60), (160, 110), (280, 210), (40, 190)]  # not convex
    reference = supervision.PolygonZone(np.array(corners))
    centers = np.random.default_rng(3).integers([0, 0], SIZE[::-1], (400, 2))
    tracked = at(*centers)
    inside = ZoneCounter(corners)(tracked)
    assert 50 < inside.sum() < 350
    # Supervision uses a mask of pixels, which may differ within a pixel of the border.
    assert (inside != reference.trigger(tracked.to_supervision())).sum() <= 4


def test_untracked_boxes_are_not_counted() -> None:
    zone = ZoneCounter(SQUARE)
    assert zone(at((150, 150), ids=[-1])).tolist() == [False]
    assert (zone.current_count, zone.unique_count) == (0, 0)


def test_zone_may_extend_beyond_the_frame() -> None:
    zone = ZoneCounter([(-50, -50), (60, -50), (60, 400), (-50, 400)], anchor="center")
    assert zone(at((2, 2), (59, 239), (62, 5))).tolist() == [True, True, False]


@pytest.mark.parametrize("polygon", [
    [], [(1, 1)], [(1, 1), (9, 9)], [(1, 1), (5, 5), (9, 9)], [(1, 2, 3)] * 3,
    [(0, 0), (9, 0), (float("nan"), 9)], [(0, 0), (1e12, 0), (0, 1e-11)],
], ids=["none", "point", "line", "flat", "3d", "nan", "far"])
def test_zone_without_area_is_rejected(polygon) -> None:
    with pytest.raises(VideoError, match="zone: got .* expected"):
        ZoneCounter(polygon)
