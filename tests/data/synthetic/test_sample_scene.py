"""What the sample's pictures show, against what their truth says."""

import numpy as np
import pytest

from detkit.data.synthetic.canvas import Pen, arc
from detkit.data.synthetic.lighting import throw_light
from detkit.data.synthetic.made_objects import CLASSES, LEAN
from detkit.data.synthetic.rng import Dice
from detkit.data.synthetic.scene import MIN_VISIBLE, NOTHING, compose, draw_scene, look_at
from detkit.data.synthetic.sprite import Pose, draw_thing
from detkit.data.synthetic.textures import draw_background

SCENES = [draw_scene(11, 0, index, (240, 320)) for index in range(40)]
LABELS = range(len(CLASSES))


def extent(mask):
    """(left, top, width, height) of the True pixels, by way of their coordinates."""
    rows, columns = np.nonzero(mask)
    left, top = columns.min(), rows.min()
    return (left, top, columns.max() + 1 - left, rows.max() + 1 - top)


def test_boxes_are_the_tight_extent_of_what_can_be_seen():
    for scene in SCENES:
        assert {t.index for t in scene.things} == set(np.unique(scene.owner)) - {NOTHING}
        for thing in scene.things:
            assert thing.box == extent(scene.owner == thing.index)


@pytest.mark.parametrize("label", LABELS, ids=CLASSES)
@pytest.mark.parametrize("size", [16, 60, 131])
def test_box_bounds_the_pixels_that_the_thing_paints(label, size):
    # On a black ground a shadow paints nothing, so whatever is not black is the thing. Pixels
    # that it covers by less than half are painted and not counted: at most one on each side
    # (two where an edge is nearly parallel to the grid and thinner than a pixel).
    black = np.zeros((200, 220, 3), np.float32)
    light = throw_light(Dice(1, 1))
    sprite = draw_thing(label, (2, 1, label, size), Pose(110.3, 99.6, size, 9.0), light.toward)
    picture, owner = compose(black, [sprite], light)
    left, top, width, height = extent(picture.max(axis=2) > 0)
    (seen,) = look_at([label], [sprite], owner)
    x, y, w, h = seen.box
    assert 0 <= x - left <= 2 and 0 <= y - top <= 2
    assert 0 <= (left + width) - (x + w) <= 2 and 0 <= (top + height) - (y + h) <= 2
    assert seen.visible == 1.0 and seen.covered == 0.0
    assert 0.55 * size < max(w, h) < 1.35 * size


@pytest.mark.parametrize("label", LABELS, ids=CLASSES)
@pytest.mark.parametrize("turn", [-1.0, 0.0, 1.0], ids=["left", "upright", "right"])
def test_no_thing_is_cut_by_its_own_drawing_board(label, turn):
    # The board is 1.6 sizes and 5 pixels wide; a thing of 60 px reaches at most 50 from its middle.
    for part in range(6):
        pose = Pose(100.0, 100.0, 60, turn * LEAN[CLASSES[label]], (0.85, 1.18)[part % 2])
        sprite = draw_thing(label, (0, 1, label, part), pose, (0.0, -1.0))
        height, width = sprite.alpha.shape
        assert sprite.left > 100 - 50 and sprite.top > 100 - 50
        assert sprite.left + width < 100 + 50 and sprite.top + height < 100 + 50


def test_a_hand_worked_square_falls_on_its_pixels():
    # The unit square from -1 to 1, 10 pixels a unit, in the middle of 40: columns 10 to 29.
    pen = Pen(40, np.diag([10.0, 10.0]))
    pen.polygon([(-1, -1), (1, -1), (1, 1), (-1, 1)], (10, 20, 30))
    left, top, width, height = extent(pen.canvas[:, :, 3] == 255)
    assert abs(left - 10) <= 1 and abs(top - 10) <= 1
    assert abs(width - 20) <= 1 and abs(height - 20) <= 1
    assert pen.canvas[20, 20].tolist() == [10, 20, 30, 255]


def test_clipped_drawing_stays_inside_and_holes_are_transparent():
    pen = Pen(40, np.diag([10.0, 10.0]))
    pen.ellipse(0, 0, 1, 1, (200, 0, 0))
    before = pen.canvas[:, :, 3].copy()
    with pen.clipped():
        pen.stroke([(-2, 0), (2, 0)], 0.5, (0, 200, 0))
    assert (pen.canvas[:, :, 3] == before).all()
    assert pen.canvas[20, 20].tolist() == [0, 200, 0, 255]
    pen.polygon(arc(0, 0, 0.3, 0.3), None)
    assert pen.canvas[20, 20].tolist() == [0, 0, 0, 0]


def test_every_thing_stays_enough_in_sight_and_some_hide_others():
    things = [thing for scene in SCENES for thing in scene.things]
    assert all(thing.visible >= MIN_VISIBLE for thing in things)
    assert sum(thing.covered > 0.05 for thing in things) >= 8
    assert sum(thing.visible + thing.covered < 0.98 for thing in things) >= 3


def test_sizes_run_over_cocos_small_medium_and_large():
    areas = np.array([t.box[2] * t.box[3] for scene in SCENES for t in scene.things])
    small, large = (areas < 32**2).mean(), (areas > 96**2).mean()
    assert small > 0.03 and large > 0.04
    assert 0.5 < 1 - small - large < 0.9


def test_one_to_six_things_a_picture():
    assert {len(scene.things) for scene in SCENES} == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("label", LABELS, ids=CLASSES)
def test_colour_alone_does_not_tell_a_class(label):
    # The mean colours of twelve looks lie far apart (a thing in one paint would spread by < 10).
    means = []
    for part in range(12):
        sprite = draw_thing(label, (0, 1, label, part), Pose(80.0, 80.0, 60), (0.0, -1.0))
        means.append(sprite.paint[sprite.mask].mean(axis=0))
    assert np.std(means, axis=0).max() > 20


def test_backgrounds_are_finite_and_of_the_wanted_shape():
    for index in range(24):
        ground = draw_background(Dice(0, 2, index), 96, 130, 0.4)
        assert ground.shape == (96, 130, 3) and ground.dtype == np.float32
        assert np.isfinite(ground).all() and ground.min() >= 0 and ground.max() <= 255


def test_a_picture_depends_on_its_own_key_only():
    draw_scene(11, 1, 3, (240, 320))
    again = draw_scene(11, 0, 5, (240, 320))
    assert (again.image == SCENES[5].image).all() and again.things == SCENES[5].things


def test_dice_keys_that_differ_in_a_trailing_zero_give_other_throws():
    streams = [Dice(1, 0), Dice(0, 1), Dice(1, 1), Dice(1, 1, 1), Dice(1, 1, 0, 1)]
    assert len({dice.between(0, 1) for dice in streams}) == 5
    throws = [Dice(0, 0, index).whole(1, 6) for index in range(200)]
    assert set(throws) == {1, 2, 3, 4, 5, 6}
