"""Tracks, their ways and the counts where and in the colours they should be."""

import numpy as np
import pytest

from detkit.structures.detections import Detections
from detkit.video.analytics.line_counter import LineCounter
from detkit.video.analytics.track_annotator import GREY, TrackPainter
from detkit.video.analytics.tracked_detections import Tracked
from detkit.video.analytics.zone_counter import ZoneCounter
from detkit.visualization.box_annotator import class_colour

GROUND = 90
SIZE = (240, 320)


def blank() -> np.ndarray:
    return np.full((*SIZE, 3), GROUND, np.uint8)


def at(*places, ids=(7,), side=40, labels=None) -> Tracked:
    """Squares around (x, y), all of label 0 unless told otherwise."""
    points = np.array(places, np.float32).reshape(-1, 2)
    found = Detections(np.hstack([points - side / 2, points + side / 2]),
                       np.full(len(points), 0.87, np.float32),
                       np.zeros(len(points), np.int64) if labels is None else np.array(labels),
                       SIZE)
    return Tracked(found, np.array(ids[:len(points)], np.int64))


def has(image: np.ndarray, colour) -> np.ndarray:
    """(H, W) bool, where a picture has a colour."""
    return (image == np.array(colour, np.uint8)).all(axis=2)


def test_an_empty_frame_gives_a_plain_copy() -> None:
    image = blank()
    drawn = TrackPainter(["car"])(image, Tracked.empty(SIZE))
    assert np.array_equal(drawn, image) and drawn is not image


def test_a_track_has_its_colour_in_every_frame_whatever_its_class() -> None:
    painter = TrackPainter(["car", "bus"])
    for ids, labels in (((7, 8), (0, 1)), ((8, 7), (0, 0)), ((7, -1), (1, 1))):
        tracked = at((80, 120), (220, 120), ids=ids, labels=labels)
        drawn = painter(blank(), tracked)
        for number, x in zip(ids, (80, 220)):
            colour = GREY if number == -1 else class_colour(number)
            assert tuple(drawn[140, x + 15]) == colour


def test_the_label_says_class_id_and_score() -> None:
    def letters(name: str, number: int) -> np.ndarray:
        # Each in a run of its own, so that its colour is the only difference.
        drawn = TrackPainter([name])(blank(), at((160, 120), ids=(number,)))
        return has(drawn, GREY if number < 0 else class_colour(number))

    width = {key: np.flatnonzero(letters(*key)[:98].any(axis=0)).max()
             for key in (("car", -1), ("car", 7), ("car", 77), ("cargo", 77))}
    assert width["car", -1] < width["car", 7] < width["car", 77] < width["cargo", 77]


def test_the_way_of_a_track_is_shown_and_forgotten_in_time() -> None:
    painter = TrackPainter(["car"], trace_frames=10)
    for x in range(60, 180, 10):
        drawn = painter(blank(), at((x, 120)))
    # The last centre is 170; ten frames before it was 70, and 60 has been forgotten.
    way = np.flatnonzero(has(drawn, class_colour(7))[120, :149])
    assert (way.min(), way.max()) == (70, 148) and len(way) == 148 - 70 + 1
    for _ in range(11):
        drawn = painter(blank(), Tracked.empty(SIZE))
    assert not painter._ways
    assert np.array_equal(drawn, blank())


def test_what_stands_still_and_trembles_leaves_no_way() -> None:
    painter = TrackPainter(["car"])
    for step in range(20):
        drawn = painter(blank(), at((160 + step % 2, 120)))
    assert not has(drawn, class_colour(7))[115:125, 150:170].any()


def test_no_way_is_drawn_when_it_is_off_or_there_is_no_track() -> None:
    for painter, number in ((TrackPainter(["car"], trace_frames=0), 7),
                            (TrackPainter(["car"]), -1)):
        for x in range(60, 180, 10):
            drawn = painter(blank(), at((x, 120), ids=(number,)))
        assert (drawn[115:125, 60:145] == GROUND).all()


def test_a_lines_counts_stand_each_on_the_side_that_tracks_come_to() -> None:
    line = LineCounter((20, 120), (300, 120))  # upwards is in
    paint = TrackPainter(["car"], [line])
    before = paint(blank(), Tracked.empty(SIZE))
    assert has(before, (255, 255, 255))[120, 25:295].all()
    for y in (60, 200):
        line(at((160, y)))
    assert line.out_count == 1
    after = paint(blank(), Tracked.empty(SIZE))
    changed = np.flatnonzero((before != after).any(axis=(1, 2)))
    assert changed.min() > 120  # 'out 0' became 'out 1', below the line
    for y in (200, 60):
        line(at((160, y)))
    last = paint(blank(), Tracked.empty(SIZE))
    changed = np.flatnonzero((after != last).any(axis=(1, 2)))
    assert changed.max() < 120


def test_a_zone_is_drawn_with_its_counts_which_the_painter_leaves_alone() -> None:
    zone = ZoneCounter([(60, 40), (260, 40), (260, 200), (60, 200)])
    paint = TrackPainter(["car"], [zone])
    before = paint(blank(), at((160, 80)))
    assert zone.visitor_count == 0
    for points in (before[40, 65:255], before[200, 65:255], before[45:195, 60]):
        assert (points == 255).all()
    zone(at((160, 80)))
    after = paint(blank(), at((160, 80)))
    assert (before != after)[100:140].any()


@pytest.mark.parametrize("place", [(-500, 120), (160, 5000), (160, -40), (99e3, -99e3)], ids=str)
def test_counters_beyond_the_picture_do_no_harm(place) -> None:
    x, y = place
    counters = [LineCounter((x, y), (x + 90, y)), ZoneCounter([(x, y), (x + 9, y), (x, y + 9)])]
    assert TrackPainter(["car"], counters)(blank(), at((160, 120))).shape == (*SIZE, 3)


def test_in_place_draws_the_same_on_the_image_itself() -> None:
    image = blank()
    copy = TrackPainter(["car"])(image, at((160, 120)))
    assert (image == GROUND).all()
    assert TrackPainter(["car"])(image, at((160, 120)), in_place=True) is image
    assert np.array_equal(image, copy)
