"""Who crosses a line and enters a zone, for walks that are known."""

import numpy as np
import pytest
import supervision

from detkit.errors import VideoError
from detkit.structures.detections import Detections
from detkit.video.analytics.line_counter import FRAMES_REMEMBERED, Crossing, LineCounter
from detkit.video.analytics.tracked_detections import Tracked
from detkit.video.analytics.zone_counter import ZoneCounter

SIZE = (240, 320)


def at(*places, ids=None, labels=None, side=10.0, wide=None) -> Tracked:
    """Boxes around (x, y), ``side`` high and ``wide`` or as wide; ids 1, 2, ... and label 0."""
    points = np.array(places, np.float32).reshape(-1, 2)
    half = np.array([side if wide is None else wide, side], np.float32) / 2
    labels = np.zeros(len(points), np.int64) if labels is None else np.array(labels)
    found = Detections(np.hstack([points - half, points + half]),
                       np.full(len(points), 0.9, np.float32), labels, SIZE)
    return Tracked(found, np.arange(1, len(points) + 1) if ids is None else np.array(ids))


def line(start=(100, 100), end=(200, 100), **kind) -> LineCounter:
    """From left to right, unless told otherwise: upwards is in."""
    return LineCounter(start, end, **kind)


def counts(counter: LineCounter, walk) -> tuple[int, int]:
    """What is counted of a walk over places (x, y); None where nothing is seen."""
    for place in walk:
        counter(at() if place is None else at(place))
    return counter.in_count, counter.out_count


@pytest.mark.parametrize(("walk", "counted"), [
    ([], (0, 0)),
    ([(150, 60), (150, 80)], (0, 0)),
    ([(150, 60), (150, 80), (150, 120)], (0, 1)),
    ([(150, 140), (150, 120), (150, 80)], (1, 0)),
    ([(150, 60), (150, 140), (150, 60), (150, 140)], (1, 2)),
    # Boxes are 10 high, so within 1 px of the line is neither side.
    ([(150, 60), (150, 100), (150, 100), (150, 100)], (0, 0)),
    ([(150, 60), (150, 100), (150, 100), (150, 60)], (0, 0)),
    ([(150, 60), (150, 100), (150, 100), (150, 102)], (0, 1)),
    ([(150, 100), (150, 140)], (0, 0)),
    ([(150, 60)] + [(150, 99.5), (150, 100.5)] * 20 + [(150, 120)], (0, 1)),
    ([(150, 60)] + [(150, 99.5), (150, 100.5)] * 20 + [(150, 80)], (0, 0)),
    # Seen on one side, hidden, seen on the other.
    ([(150, 80), None, None, None, None, (150, 120)], (0, 1)),
    # Beside the line, and around its end: (200, 100) to (250, 100) is no part of it.
    ([(230, 60), (230, 140)], (0, 0)),
    ([(150, 60), (250, 60), (250, 140), (150, 140)], (0, 0)),
    ([(150, 60), (250, 60), (250, 140), (150, 140), (150, 60)], (1, 0)),
    # Slantwise past the end: from (190, 60) to (230, 140) meets y = 100 at x = 210.
    ([(190, 60), (230, 140)], (0, 0)),
    ([(170, 60), (210, 140)], (0, 1)),
], ids=str)
def test_a_walk_counts(walk, counted) -> None:
    assert counts(line(), walk) == counted


@pytest.mark.parametrize(("start", "end", "walk", "counted"), [
    ((100, 100), (200, 100), [(150, 60), (150, 140)], (0, 1)),
    ((200, 100), (100, 100), [(150, 60), (150, 140)], (1, 0)),
    ((160, 50), (160, 200), [(100, 120), (220, 120)], (1, 0)),
    ((160, 200), (160, 50), [(100, 120), (220, 120)], (0, 1)),
    ((100, 50), (200, 150), [(180, 70), (120, 130)], (0, 1)),
], ids=["right", "left", "down", "up", "slant"])
def test_left_hand_is_in_and_agrees_with_supervision(start, end, walk, counted) -> None:
    theirs = supervision.LineZone(supervision.Point(*start), supervision.Point(*end))
    for place in walk:
        theirs.trigger(at(place).to_supervision())
    assert counts(line(start, end), walk) == counted == (theirs.in_count, theirs.out_count)


def test_straight_ways_of_many_agree_with_supervision() -> None:
    # The line is longer than the picture, so that no way leads around its end, which
    # supervision counts and we do not; and all begin and end clear of it, where both look at
    # other points of the box.
    rng = np.random.default_rng(5)
    begin, step = rng.uniform([40, 40], [280, 200], (90, 2)), rng.uniform(-6, 6, (90, 2))
    clear = [np.abs(y - 90 - (x + 900) * 60 / 2100) > 5
             for x, y in (begin.T, (begin + 59 * step).T)]
    begin, step = begin[clear[0] & clear[1]], step[clear[0] & clear[1]]
    ours = LineCounter((-900, 90), (1200, 150))
    theirs = supervision.LineZone(supervision.Point(-900, 90), supervision.Point(1200, 150))
    labels = rng.integers(0, 3, len(begin))
    for number in range(60):
        tracked = at(*(begin + number * step), labels=labels, side=2)
        ours(tracked)
        theirs.trigger(tracked.to_supervision())
    assert ours.in_count > 5 and ours.out_count > 5
    assert ours.in_per_class == theirs.in_count_per_class
    assert ours.out_per_class == theirs.out_count_per_class


def test_a_box_wider_than_the_line_is_counted() -> None:
    counter = line()
    for y in (60, 80, 120, 140):
        counter(at((150, y), wide=180))
    assert (counter.in_count, counter.out_count) == (0, 1)


def test_the_lower_side_can_be_what_crosses() -> None:
    centre, bottom = line(), line(anchor="bottom")
    for y in (70, 80, 90):  # the lower side, 20 px below, comes to 110
        centre(at((150, y), side=40))
        bottom(at((150, y), side=40))
    assert (centre.out_count, bottom.out_count) == (0, 1)


def test_who_crossed_is_told_with_class_and_way() -> None:
    counter = line()
    assert counter(at((150, 60), (160, 140), (170, 60), ids=[4, 7, -1], labels=[1, 2, 0])) == []
    assert counter(at((160, 60), (150, 140), (170, 140), ids=[7, 4, -1], labels=[2, 1, 0])) == [
        Crossing(id=7, label=2, inwards=True), Crossing(id=4, label=1, inwards=False),
    ]
    assert (counter.in_per_class, counter.out_per_class) == ({2: 1}, {1: 1})
    assert counter(at((160, 60), (150, 140), ids=[7, 4], labels=[2, 1])) == []


def test_what_has_ended_is_forgotten_and_the_counts_are_not() -> None:
    counter, zone = line(), ZoneCounter([(100, 100), (200, 100), (200, 200), (100, 200)])
    for track in range(1, 2 * FRAMES_REMEMBERED):
        for y in (80, 120):
            tracked = at((150, y), ids=[track])
            counter(tracked)
            zone(tracked)
    assert counter.out_count == zone.visitor_count == 2 * FRAMES_REMEMBERED - 1
    assert len(counter._walks) <= FRAMES_REMEMBERED >= len(zone._last_seen)


@pytest.mark.parametrize("end", [(100, 100), (float("nan"), 5), (1e12, 5)], ids=str)
def test_a_line_without_length_is_refused(end) -> None:
    with pytest.raises(VideoError, match="line to count at: got .* expected"):
        LineCounter((100, 100), end)


SQUARE = [(100, 100), (200, 100), (200, 200), (100, 200)]


def test_a_zone_counts_who_is_inside_now_and_each_visitor_once() -> None:
    zone = ZoneCounter(SQUARE, anchor="centre")
    assert zone(at()).tolist() == []
    assert (zone.inside_count, zone.visitor_count) == (0, 0)
    assert zone(at((150, 150), (50, 50), labels=[2, 1])).tolist() == [True, False]
    assert (zone.inside_count, zone.visitor_count) == (1, 1)
    for _ in range(3):  # the first goes out and in at the border, the second comes in
        zone(at((99, 150), (150, 150), labels=[2, 1]))
        zone(at((101, 150), (150, 150), labels=[2, 1]))
    assert (zone.inside_count, zone.visitor_count) == (2, 2)
    zone(at())
    assert (zone.inside_count, zone.visitor_count) == (0, 2)
    assert zone.visitors_per_class == {2: 1, 1: 1}


def test_things_stand_on_the_lower_side_of_their_box() -> None:
    tracked = at((150, 90), (150, 190), side=40)  # lower sides at 110 and 210
    assert ZoneCounter(SQUARE)(tracked).tolist() == [True, False]
    assert ZoneCounter(SQUARE, anchor="centre")(tracked).tolist() == [False, True]


def test_who_is_inside_agrees_with_supervision() -> None:
    corners = [(60, 30), (250, 60), (160, 110), (280, 210), (40, 190)]  # not convex
    theirs = supervision.PolygonZone(np.array(corners))
    places = np.random.default_rng(3).integers([0, 0], SIZE[::-1], (400, 2))
    tracked = at(*places)
    inside = ZoneCounter(corners)(tracked)
    assert 50 < inside.sum() < 350
    # Theirs is a mask of pixels: it may differ within a pixel of the border.
    assert (inside != theirs.trigger(tracked.to_supervision())).sum() <= 4


def test_what_has_no_track_yet_is_not_counted() -> None:
    zone = ZoneCounter(SQUARE)
    assert zone(at((150, 150), ids=[-1])).tolist() == [False]
    assert (zone.inside_count, zone.visitor_count) == (0, 0)


def test_a_zone_may_reach_beyond_the_picture() -> None:
    zone = ZoneCounter([(-50, -50), (60, -50), (60, 400), (-50, 400)], anchor="centre")
    assert zone(at((2, 2), (59, 239), (62, 5))).tolist() == [True, True, False]


@pytest.mark.parametrize("polygon", [
    [], [(1, 1)], [(1, 1), (9, 9)], [(1, 1), (5, 5), (9, 9)], [(1, 2, 3)] * 3,
    [(0, 0), (9, 0), (float("nan"), 9)], [(0, 0), (1e12, 0), (0, 1e-11)],
], ids=["none", "point", "line", "flat", "3d", "nan", "far"])
def test_a_zone_without_area_is_refused(polygon) -> None:
    with pytest.raises(VideoError, match="zone to count in: got .* expected"):
        ZoneCounter(polygon)
