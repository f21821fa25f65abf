"""Scenes of the sample: images against their annotations."""

import numpy as np
import pytest

from detkit.data.synthetic.canvas import Canvas, arc
from detkit.data.synthetic.lighting import random_lighting
from detkit.data.synthetic.object_shapes import CLASSES, MAX_ROTATION
from detkit.data.synthetic.rng import KeyedRng
from detkit.data.synthetic.scene import (
    BACKGROUND,
    MIN_VISIBLE,
    compose,
    draw_scene,
    find_visible_objects,
)
from detkit.data.synthetic.sprite import Pose, draw_sprite
from detkit.data.synthetic.textures import draw_background

SCENES = [draw_scene(11, 0, index, (240, 320)) for index in range(40)]
LABELS = range(len(CLASSES))


def extent(mask):
    """(left, top, width, height) of the True pixels, by way of their coordinates."""
    rows, columns = np.nonzero(mask)
    left, top = columns.min(), rows.min()
    return (left, top, columns.max() + 1 - left, rows.max() + 1 - top)


def test_boxes_are_the_tight_extent_of_visible_pixels():
    for scene in SCENES:
        assert {t.index for t in scene.objects} == set(np.unique(scene.instance_map)) - {BACKGROUND}
        for obj in scene.objects:
            assert obj.box == extent(scene.instance_map == obj.index)


@pytest.mark.parametrize("label", LABELS, ids=CLASSES)
@pytest.mark.parametrize("size", [16, 60, 131])
def test_box_is_the_extent_of_drawn_pixels(label, size):
    # On black a shadow is invisible, so every pixel that is not black is the object's. Pixels
    # covered by less than half are drawn but not counted: at most one on each side (two where an
    # edge is nearly parallel to the grid and thinner than a pixel).
    black = np.zeros((200, 220, 3), np.float32)
    lighting = random_lighting(KeyedRng(1, 1))
    sprite = draw_sprite(label, (2, 1, label, size), Pose(110.3, 99.6, size, 9.0),
                         lighting.direction)
    image, instance_map = compose(black, [sprite], lighting)
    left, top, width, height = extent(image.max(axis=2) > 0)
    (visible,) = find_visible_objects([label], [sprite], instance_map)
    x, y, w, h = visible.box
    assert 0 <= x - left <= 2 and 0 <= y - top <= 2
    assert 0 <= (left + width) - (x + w) <= 2 and 0 <= (top + height) - (y + h) <= 2
    assert visible.visibility == 1.0 and visible.occluded == 0.0
    assert 0.55 * size < max(w, h) < 1.35 * size


@pytest.mark.parametrize("label", LABELS, ids=CLASSES)
@pytest.mark.parametrize("rotation", [-1.0, 0.0, 1.0], ids=["left", "upright", "right"])
def test_sprites_fit_inside_their_canvas(label, rotation):
    # The canvas is 1.6 sizes and 5 pixels wide: an object of 60 px extends 50 px at most.
    for index in range(6):
        pose = Pose(100.0, 100.0, 60, rotation * MAX_ROTATION[CLASSES[label]],
                    (0.85, 1.18)[index % 2])
        sprite = draw_sprite(label, (0, 1, label, index), pose, (0.0, -1.0))
        height, width = sprite.alpha.shape
        assert sprite.left > 100 - 50 and sprite.top > 100 - 50
        assert sprite.left + width < 100 + 50 and sprite.top + height < 100 + 50


def test_square_polygon_covers_expected_pixels():
    # A square from -1 to 1 at 10 pixels per unit, centered in 40 pixels: columns 10 to 29.
    canvas = Canvas(40, np.diag([10.0, 10.0]))
    canvas.polygon([(-1, -1), (1, -1), (1, 1), (-1, 1)], (10, 20, 30))
    left, top, width, height = extent(canvas.pixels[:, :, 3] == 255)
    assert abs(left - 10) <= 1 and abs(top - 10) <= 1
    assert abs(width - 20) <= 1 and abs(height - 20) <= 1
    assert canvas.pixels[20, 20].tolist() == [10, 20, 30, 255]


def test_clipped_drawing_stays_inside_and_holes_are_transparent():
    canvas = Canvas(40, np.diag([10.0, 10.0]))
    canvas.ellipse(0, 0, 1, 1, (200, 0, 0))
    before = canvas.pixels[:, :, 3].copy()
    with canvas.clip_to_drawn():
        canvas.stroke([(-2, 0), (2, 0)], 0.5, (0, 200, 0))
    assert (canvas.pixels[:, :, 3] == before).all()
    assert canvas.pixels[20, 20].tolist() == [0, 200, 0, 255]
    canvas.polygon(arc(0, 0, 0.3, 0.3), None)
    assert canvas.pixels[20, 20].tolist() == [0, 0, 0, 0]


def test_objects_keep_min_visibility_and_some_occlude_others():
    objects = [obj for scene in SCENES for obj in scene.objects]
    assert all(obj.visibility >= MIN_VISIBLE for obj in objects)
    assert sum(obj.occluded > 0.05 for obj in objects) >= 8
    assert sum(obj.visibility + obj.occluded < 0.98 for obj in objects) >= 3


def test_sizes_cover_cocos_small_medium_and_large():
    areas = np.array([t.box[2] * t.box[3] for scene in SCENES for t in scene.objects])
    small, large = (areas < 32**2).mean(), (areas > 96**2).mean()
    assert small > 0.03 and large > 0.04
    assert 0.5 < 1 - small - large < 0.9


def test_images_have_one_to_six_objects():
    assert {len(scene.objects) for scene in SCENES} == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("label", LABELS, ids=CLASSES)
def test_color_varies_within_each_class(label):
    # The mean colors of twelve appearances differ (one fixed color would give a std below 10).
    means = []
    for index in range(12):
        sprite = draw_sprite(label, (0, 1, label, index), Pose(80.0, 80.0, 60), (0.0, -1.0))
        means.append(sprite.rgb[sprite.mask].mean(axis=0))
    assert np.std(means, axis=0).max() > 20


def test_backgrounds_are_finite_with_the_requested_shape():
    for index in range(24):
        image = draw_background(KeyedRng(0, 2, index), 96, 130, 0.4)
        assert image.shape == (96, 130, 3) and image.dtype == np.float32
        assert np.isfinite(image).all() and image.min() >= 0 and image.max() <= 255


def test_scene_depends_only_on_its_key():
    draw_scene(11, 1, 3, (240, 320))
    again = draw_scene(11, 0, 5, (240, 320))
    assert (again.image == SCENES[5].image).all() and again.objects == SCENES[5].objects


def test_rng_keys_differing_in_a_trailing_zero_give_different_streams():
    keys = [(1, 0), (0, 1), (1, 1), (1, 1, 1), (1, 1, 0, 1)]
    assert len({KeyedRng(*key).uniform(0, 1) for key in keys}) == 5
    values = [KeyedRng(0, 0, index).randint(1, 6) for index in range(200)]
    assert set(values) == {1, 2, 3, 4, 5, 6}
