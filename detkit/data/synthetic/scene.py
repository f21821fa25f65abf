"""Things before a background, in one light: a picture, and the exact truth about it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detkit.data.synthetic.lighting import Lighting, apply_lighting, random_lighting
from detkit.data.synthetic.object_shapes import CLASSES, MAX_ROTATION
from detkit.data.synthetic.rng import KeyedRng
from detkit.data.synthetic.sprite import STREAM_APPEARANCE, STREAM_IMAGE, Pose, Sprite, draw_sprite
from detkit.data.synthetic.textures import FloatImage, draw_background, gray_to_rgb

# The least share of a thing's pixels that must stay in sight, edges of the picture counted too.
MIN_VISIBLE = 0.45
BACKGROUND = -1


@dataclass(frozen=True)
class VisibleObject:
    """A thing as far as it can be seen.

    Attributes:
        index: its place in the order from far to near, from 0.
        label: index into CLASSES.
        box: (left, top, width, height), whole pixels: the tight extent of its visible mask.
        visibility: share of the thing's whole mask that is in sight, in (0, 1].
        occluded: share of the thing's whole mask that other objects hide, in [0, 1).
    """

    index: int
    label: int
    box: tuple[int, int, int, int]
    visibility: float
    occluded: float


@dataclass(frozen=True)
class Scene:
    """A finished picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        instance_map: (H, W) int16, the index into ``objects`` of whom each pixel shows, BACKGROUND
            for none.
        objects: from the farthest to the nearest.
    """

    image: NDArray[np.uint8]
    instance_map: NDArray[np.int16]
    objects: tuple[VisibleObject, ...]


def draw_scene(seed: int, split: int, index: int, size_hw: tuple[int, int]) -> Scene:
    """Draw the picture number ``index`` of a split; it depends on these arguments only."""
    rng = KeyedRng(seed, STREAM_IMAGE + split, index)
    height, width = size_hw
    scale = min(height / 240, width / 320)
    background = draw_background(rng, height, width, scale)
    lighting = random_lighting(rng)
    labels, sprites = _place_sprites(rng, (seed, split, index), size_hw, scale, lighting)
    image, instance_map = compose(background, sprites, lighting)
    grain = rng.random_array(height, width) if lighting.noise else None
    return Scene(apply_lighting(image, lighting, grain), instance_map,
                 find_visible_objects(labels, sprites, instance_map))


def _place_sprites(rng: KeyedRng, key: tuple[int, int, int], size_hw: tuple[int, int], scale: float,
                   lighting: Lighting) -> tuple[list[int], list[Sprite]]:
    """Throw one to six objects so that enough of each stays in sight."""
    height, width = size_hw
    seed, split, index = key
    instance_map = np.full(size_hw, BACKGROUND, np.int16)
    labels: list[int] = []
    sprites: list[Sprite] = []
    for object_index in range(rng.choice([1, 2, 3, 4, 4, 5, 5, 5, 6, 6])):
        # The first thing goes round the classes: ten pictures of any split hold all of them.
        label = index % len(CLASSES) if object_index == 0 else rng.randint(0, len(CLASSES) - 1)
        size = scale * (rng.log_uniform(16, 32) if rng.bernoulli(0.06) else rng.log_uniform(
            44, 150))
        max_rotation = MAX_ROTATION[CLASSES[label]]
        pose = Pose(width / 2 + rng.uniform(0, 1), height / 2 + rng.uniform(0, 1), size,
                    rng.uniform(-max_rotation, max_rotation), rng.log_uniform(0.85, 1.18),
                    rng.bernoulli(0.5),
                    )  # fmt: skip
        appearance = (seed, STREAM_APPEARANCE + 16 * (split + 1), index, object_index)
        sprite = draw_sprite(label, appearance, pose, lighting.direction)
        allow_overlap, truncated = rng.bernoulli(0.25), rng.bernoulli(0.1) and size > 34 * scale
        for attempt in range(10):
            neighbor = rng.choice(sprites) if allow_overlap and sprites and attempt < 7 else None
            x, y = _sample_position(rng, sprite, size_hw, truncated, neighbor)
            candidate = sprite.shifted(x - sprite.left, y - sprite.top)
            if _is_placeable(candidate, sprites, instance_map, allow_overlap or attempt > 6):
                sprites.append(candidate)
                labels.append(label)
                _mark_pixels(instance_map, candidate, len(sprites) - 1)
                break
    return labels, sprites


def _sample_position(rng: KeyedRng, sprite: Sprite, size_hw: tuple[int, int], truncated: bool,
                     neighbor: Sprite | None) -> tuple[int, int]:
    """A place for the sprite's first pixel: anywhere, or so that it meets the one ``neighbor``.

    Always inside the picture, or with ``truncated`` across an edge by up to 40 % of the sprite.
    """
    position = []
    for axis in (1, 0):
        extent = sprite.alpha.shape[axis]
        overhang = round(0.4 * extent) if truncated else 0
        low, high = -overhang, size_hw[axis] - extent + overhang
        if neighbor is not None:
            reach = 0.75 * (extent + neighbor.alpha.shape[axis]) / 2
            near = neighbor.left if axis else neighbor.top
            middle = near + (neighbor.alpha.shape[axis] - extent) / 2
            low = min(max(low, round(middle - reach)), high)
            high = max(min(high, round(middle + reach)), low)
        position.append(rng.randint(low, high))
    return position[0], position[1]


def _is_placeable(sprite: Sprite, others: list[Sprite], instance_map: NDArray[np.int16],
                  allow_overlap: bool) -> bool:
    """Whether all stay enough in sight; and, unless ``allow_overlap``, whether hardly anything is hidden."""
    rows, columns, inner_rows, inner_columns = _intersect(
        sprite, (instance_map.shape[0], instance_map.shape[1]))
    mask = sprite.mask[inner_rows, inner_columns]
    total, inside = int(sprite.mask.sum()), int(mask.sum())
    # Entry 0 counts the background, entry i + 1 what the thing i would lose.
    lost = np.bincount(instance_map[rows, columns][mask] + 1, minlength=len(others) + 1)
    if inside < MIN_VISIBLE * total or (not allow_overlap and inside - lost[0] > 0.04 * total):
        return False
    return all(
        np.count_nonzero(instance_map == i) - lost[i + 1] >= MIN_VISIBLE * other.mask.sum()
        for i, other in enumerate(others)
        if lost[i + 1]
    )


def _intersect(sprite: Sprite, size_hw: tuple[int, int]) -> tuple[slice, slice, slice, slice]:
    """Rows and columns of the picture, then of the sprite, where both are; perhaps empty."""
    (height, width), (h, w) = size_hw, sprite.alpha.shape
    y1, y2 = max(0, sprite.top), max(0, min(height, sprite.top + h))
    x1, x2 = max(0, sprite.left), max(0, min(width, sprite.left + w))
    y2, x2 = max(y1, y2), max(x1, x2)
    inner = slice(y1 - sprite.top, y2 - sprite.top), slice(x1 - sprite.left, x2 - sprite.left)
    return slice(y1, y2), slice(x1, x2), *inner


def _mark_pixels(instance_map: NDArray[np.int16], sprite: Sprite, index: int) -> None:
    """Give the sprite's pixels to ``index``."""
    rows, columns, inner_rows, inner_columns = _intersect(
        sprite, (instance_map.shape[0], instance_map.shape[1]))
    instance_map[rows, columns][sprite.mask[inner_rows, inner_columns]] = index


def compose(
    background: FloatImage, sprites: list[Sprite], lighting: Lighting
) -> tuple[FloatImage, NDArray[np.int16]]:
    """Lay the sprites over the background in their order, each with its shadow.

    Returns:
        (H, W, 3) float32 RGB 0..255, and (H, W) int16 the sprite that each pixel shows.
    """
    image = background.copy()
    size_hw = (image.shape[0], image.shape[1])
    instance_map = np.full(size_hw, BACKGROUND, np.int16)
    for index, sprite in enumerate(sprites):
        _draw_shadow(image, sprite, lighting)
        rows, columns, inner_rows, inner_columns = _intersect(sprite, size_hw)
        patch = image[rows, columns]
        if not patch.size:
            continue
        patch *= gray_to_rgb(1 - sprite.alpha[inner_rows, inner_columns])
        patch += sprite.rgb[inner_rows, inner_columns]
        _mark_pixels(instance_map, sprite, index)
    return image, instance_map


def _draw_shadow(image: FloatImage, sprite: Sprite, lighting: Lighting) -> None:
    reach = max(2, round(max(sprite.alpha.shape) * 0.05))
    soft = cv2.copyMakeBorder(
        sprite.alpha, 2 * reach, 2 * reach, 2 * reach, 2 * reach, cv2.BORDER_CONSTANT, value=0
    )
    soft = cv2.blur(cv2.blur(soft, (reach + 1, reach + 1)), (reach + 1, reach + 1))
    left = sprite.left - 2 * reach - round(lighting.direction[0] * reach)
    top = sprite.top - 2 * reach - round(lighting.direction[1] * reach)
    shadow = Sprite(left, top, sprite.rgb, soft, sprite.mask)
    rows, columns, inner_rows, inner_columns = _intersect(
        shadow, (image.shape[0], image.shape[1])
    )
    patch = image[rows, columns]
    if patch.size:
        patch *= gray_to_rgb(1 - np.float32(0.42) * soft[inner_rows, inner_columns])


def find_visible_objects(
    labels: list[int], sprites: list[Sprite], instance_map: NDArray[np.int16]
) -> tuple[VisibleObject, ...]:
    """The truth: tight boxes of what is visible. A thing wholly out of sight has no entry."""
    visible_objects = []
    size_hw = (instance_map.shape[0], instance_map.shape[1])
    for index, (label, sprite) in enumerate(zip(labels, sprites)):
        x, y, width, height = cv2.boundingRect((instance_map == index).astype(np.uint8))
        count, total = int(np.count_nonzero(instance_map == index)), int(sprite.mask.sum())
        _, _, inner_rows, inner_columns = _intersect(sprite, size_hw)
        inside = int(sprite.mask[inner_rows, inner_columns].sum())
        if count:
            box = (x, y, width, height)
            visible_objects.append(
                VisibleObject(index, label, box, count / total, (inside - count) / total))
    return tuple(visible_objects)
