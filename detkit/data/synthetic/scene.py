"""Synthetic images: objects on a background under one lighting, with exact annotations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.data.synthetic.lighting import (
    FloatImage,
    Lighting,
    apply_lighting,
    gray_to_rgb,
    random_lighting,
)
from detkit.data.synthetic.object_shapes import CLASSES, MAX_ROTATION
from detkit.data.synthetic.rng import KeyedRng
from detkit.data.synthetic.sprite import (
    STREAM_APPEARANCE,
    STREAM_IMAGE,
    Pose,
    Sprite,
    draw_sprite,
    soft_alpha,
)
from detkit.data.synthetic.textures import draw_background

# Minimum visible fraction of an object's pixels; those outside the image count as hidden.
MIN_VISIBLE = 0.45
BACKGROUND = -1
InstanceMap = NDArray[np.int16]


@dataclass(frozen=True)
class VisibleObject:
    """The visible part of an object.

    Attributes:
        index: index from far to near.
        label: index into CLASSES.
        box: (left, top, width, height), integer pixels: the tight extent of the visible mask.
        visibility: visible fraction of the object's mask, in (0, 1].
        occluded: fraction of the object's mask hidden by other objects, in [0, 1).
    """

    index: int
    label: int
    box: tuple[int, int, int, int]
    visibility: float
    occluded: float

    def coco_annotation(self, annotation_id: int, image_id: int) -> dict[str, Any]:
        """The annotation of this object in COCO format."""
        return {"id": annotation_id, "image_id": image_id, "category_id": self.label + 1,
                "bbox": list(self.box), "area": self.box[2] * self.box[3], "iscrowd": 0,
                "visibility": round(self.visibility, 4)}


@dataclass(frozen=True)
class Scene:
    """A finished image with its annotations.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        instance_map: (H, W) int16, the index of the object visible at each pixel, or BACKGROUND.
        objects: from the farthest to the nearest.
    """

    image: NDArray[np.uint8]
    instance_map: InstanceMap
    objects: tuple[VisibleObject, ...]


def draw_scene(seed: int, split: int, index: int, size_hw: tuple[int, int]) -> Scene:
    """Draw image ``index`` of a split; the result depends on the arguments only."""
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
    """Place one to six objects so that each stays sufficiently visible."""
    height, width = size_hw
    seed, split, index = key
    instance_map = np.full(size_hw, BACKGROUND, np.int16)
    labels: list[int] = []
    sprites: list[Sprite] = []
    for object_index in range(rng.choice([1, 2, 3, 4, 4, 5, 5, 5, 6, 6])):
        # The first object cycles through the classes: any ten images have all of them.
        label = index % len(CLASSES) if object_index == 0 else rng.randint(0, len(CLASSES) - 1)
        size = scale * rng.log_uniform(*((16, 32) if rng.bernoulli(0.06) else (44, 150)))
        max_rotation = MAX_ROTATION[CLASSES[label]]
        pose = Pose(width / 2 + rng.uniform(0, 1), height / 2 + rng.uniform(0, 1), size,
                    rng.uniform(-max_rotation, max_rotation), rng.log_uniform(0.85, 1.18),
                    rng.bernoulli(0.5))
        appearance = (seed, STREAM_APPEARANCE + 16 * (split + 1), index, object_index)
        sprite = draw_sprite(label, appearance, pose, lighting.direction)
        allow_overlap, truncated = rng.bernoulli(0.25), rng.bernoulli(0.1) and size > 34 * scale
        for attempt in range(10):
            neighbor = rng.choice(sprites) if allow_overlap and sprites and attempt < 7 else None
            candidate = sprite.moved_to(
                *_sample_position(rng, sprite, size_hw, truncated, neighbor))
            if _is_placeable(candidate, sprites, instance_map, allow_overlap or attempt > 6):
                _mark_pixels(instance_map, candidate, len(sprites))
                sprites.append(candidate)
                labels.append(label)
                break
    return labels, sprites


def _sample_position(rng: KeyedRng, sprite: Sprite, size_hw: tuple[int, int], truncated: bool,
                     neighbor: Sprite | None) -> tuple[int, int]:
    """A random (left, top) inside the image, near ``neighbor`` if given.

    With ``truncated`` up to 40 % of the sprite may be outside.
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


def _is_placeable(sprite: Sprite, others: list[Sprite], instance_map: InstanceMap,
                  allow_overlap: bool) -> bool:
    """Whether all objects stay sufficiently visible and, unless allowed, hardly overlap."""
    region, inner = _intersect(sprite, instance_map)
    mask = sprite.mask[inner]
    total, inside = int(sprite.mask.sum()), int(mask.sum())
    # Entry 0 counts background pixels, entry i + 1 those that object i would lose.
    lost = np.bincount(instance_map[region][mask] + 1, minlength=len(others) + 1)
    if inside < MIN_VISIBLE * total or (not allow_overlap and inside - lost[0] > 0.04 * total):
        return False
    return all(
        np.count_nonzero(instance_map == i) - lost[i + 1] >= MIN_VISIBLE * other.mask.sum()
        for i, other in enumerate(others) if lost[i + 1])


def _intersect(sprite: Sprite, image: NDArray[Any]) -> tuple[tuple[slice, slice], ...]:
    """The intersection, perhaps empty, of image and sprite: slices of the image, of the sprite."""
    region, inner = [], []
    for axis, start in enumerate((sprite.top, sprite.left)):
        low = max(0, start)
        high = max(low, min(image.shape[axis], start + sprite.alpha.shape[axis]))
        region.append(slice(low, high))
        inner.append(slice(low - start, high - start))
    return (region[0], region[1]), (inner[0], inner[1])


def _mark_pixels(instance_map: InstanceMap, sprite: Sprite, index: int) -> None:
    region, inner = _intersect(sprite, instance_map)
    instance_map[region][sprite.mask[inner]] = index


def compose(background: FloatImage, sprites: list[Sprite],
            lighting: Lighting) -> tuple[FloatImage, InstanceMap]:
    """Draw the sprites in order on a copy of the background, each with its shadow.

    Returns:
        (H, W, 3) float32 RGB 0..255, and (H, W) int16 index of the sprite visible at each pixel.
    """
    image = background.copy()
    instance_map = np.full(image.shape[:2], BACKGROUND, np.int16)
    for index, sprite in enumerate(sprites):
        shadow = _shadow(sprite, lighting)
        region, inner = _intersect(shadow, image)
        if image[region].size:
            image[region] *= gray_to_rgb(1 - np.float32(0.42) * shadow.alpha[inner])
        region, inner = _intersect(sprite, image)
        if image[region].size:
            image[region] *= gray_to_rgb(1 - sprite.alpha[inner])
            image[region] += sprite.rgb[inner]
            _mark_pixels(instance_map, sprite, index)
    return image, instance_map


def _shadow(sprite: Sprite, lighting: Lighting) -> Sprite:
    """The sprite with a blurred alpha, displaced away from the light."""
    reach = max(2, round(max(sprite.alpha.shape) * 0.05))
    left, top = (start - 2 * reach - round(component * reach) for start, component
                 in zip((sprite.left, sprite.top), lighting.direction))
    return replace(sprite, left=left, top=top,
                   alpha=soft_alpha(sprite.alpha, 2 * reach, reach + 1))


def find_visible_objects(labels: list[int], sprites: list[Sprite],
                         instance_map: InstanceMap) -> tuple[VisibleObject, ...]:
    """The tight boxes of the visible pixels; objects that are fully hidden are left out."""
    visible_objects = []
    for index, (label, sprite) in enumerate(zip(labels, sprites)):
        rows, columns = np.nonzero(instance_map == index)
        if rows.size:
            left, top = int(columns.min()), int(rows.min())
            box = (left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top)
            total = int(sprite.mask.sum())
            inside = int(sprite.mask[_intersect(sprite, instance_map)[1]].sum())
            visible_objects.append(VisibleObject(
                index, label, box, rows.size / total, (inside - rows.size) / total))
    return tuple(visible_objects)
