"""Things before a background, in one light: a picture, and the exact truth about it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detkit.data.synthetic.lighting import Light, develop, throw_light
from detkit.data.synthetic.made_objects import CLASSES, LEAN
from detkit.data.synthetic.rng import Dice
from detkit.data.synthetic.sprite import ROOM_IMAGE, ROOM_LOOK, Pose, Sprite, draw_thing
from detkit.data.synthetic.textures import Picture, draw_background, threefold

# The least share of a thing's pixels that must stay in sight, edges of the picture counted too.
MIN_VISIBLE = 0.45
NOTHING = -1


@dataclass(frozen=True)
class Seen:
    """A thing as far as it can be seen.

    Attributes:
        index: its place in the order from far to near, from 0.
        label: index into CLASSES.
        box: (left, top, width, height), whole pixels: the tight extent of its visible mask.
        visible: share of the thing's whole mask that is in sight, in (0, 1].
        covered: share of the thing's whole mask that other things hide, in [0, 1).
    """

    index: int
    label: int
    box: tuple[int, int, int, int]
    visible: float
    covered: float


@dataclass(frozen=True)
class Scene:
    """A finished picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        owner: (H, W) int16, the index into ``things`` of whom each pixel shows, NOTHING for none.
        things: from the farthest to the nearest.
    """

    image: NDArray[np.uint8]
    owner: NDArray[np.int16]
    things: tuple[Seen, ...]


def draw_scene(seed: int, split: int, index: int, size_hw: tuple[int, int]) -> Scene:
    """Draw the picture number ``index`` of a split; it depends on these arguments only."""
    dice = Dice(seed, ROOM_IMAGE + split, index)
    height, width = size_hw
    scale = min(height / 240, width / 320)
    background = draw_background(dice, height, width, scale)
    light = throw_light(dice)
    labels, sprites = _place(dice, (seed, split, index), size_hw, scale, light)
    picture, owner = compose(background, sprites, light)
    grain = dice.field(height, width) if light.noise else None
    return Scene(develop(picture, light, grain), owner, look_at(labels, sprites, owner))


def _place(
    dice: Dice, key: tuple[int, int, int], size_hw: tuple[int, int], scale: float, light: Light
) -> tuple[list[int], list[Sprite]]:
    """Throw one to six things so that enough of each stays in sight."""
    height, width = size_hw
    seed, split, index = key
    owner = np.full(size_hw, NOTHING, np.int16)
    labels: list[int] = []
    sprites: list[Sprite] = []
    for part in range(dice.pick([1, 2, 3, 4, 4, 5, 5, 5, 6, 6])):
        # The first thing goes round the classes: ten pictures of any split hold all of them.
        label = index % len(CLASSES) if part == 0 else dice.whole(0, len(CLASSES) - 1)
        size = scale * (dice.scale(16, 32) if dice.chance(0.06) else dice.scale(44, 150))
        lean = LEAN[CLASSES[label]]
        pose = Pose(
            width / 2 + dice.between(0, 1), height / 2 + dice.between(0, 1), size,
            dice.between(-lean, lean), dice.scale(0.85, 1.18), dice.chance(0.5),
        )  # fmt: skip
        look = (seed, ROOM_LOOK + 16 * (split + 1), index, part)
        sprite = draw_thing(label, look, pose, light.toward)
        over, at_edge = dice.chance(0.25), dice.chance(0.1) and size > 34 * scale
        for attempt in range(10):
            beside = dice.pick(sprites) if over and sprites and attempt < 7 else None
            x, y = _spot(dice, sprite, size_hw, at_edge, beside)
            moved = sprite.moved(x - sprite.left, y - sprite.top)
            if _fits(moved, sprites, owner, over or attempt > 6):
                sprites.append(moved)
                labels.append(label)
                _claim(owner, moved, len(sprites) - 1)
                break
    return labels, sprites


def _spot(
    dice: Dice, sprite: Sprite, size_hw: tuple[int, int], at_edge: bool, beside: Sprite | None
) -> tuple[int, int]:
    """A place for the sprite's first pixel: anywhere, or so that it meets the one ``beside``.

    Always inside the picture, or with ``at_edge`` across an edge by up to 40 % of the sprite.
    """
    spot = []
    for axis in (1, 0):
        extent = sprite.alpha.shape[axis]
        out = round(0.4 * extent) if at_edge else 0
        low, high = -out, size_hw[axis] - extent + out
        if beside is not None:
            reach = 0.75 * (extent + beside.alpha.shape[axis]) / 2
            near = beside.left if axis else beside.top
            middle = near + (beside.alpha.shape[axis] - extent) / 2
            low = min(max(low, round(middle - reach)), high)
            high = max(min(high, round(middle + reach)), low)
        spot.append(dice.whole(low, high))
    return spot[0], spot[1]


def _fits(sprite: Sprite, others: list[Sprite], owner: NDArray[np.int16], over: bool) -> bool:
    """Whether all stay enough in sight; and, unless ``over``, whether hardly anything is hidden."""
    rows, columns, inner_rows, inner_columns = _overlap(sprite, (owner.shape[0], owner.shape[1]))
    mask = sprite.mask[inner_rows, inner_columns]
    whole, inside = int(sprite.mask.sum()), int(mask.sum())
    # Entry 0 counts the background, entry i + 1 what the thing i would lose.
    lost = np.bincount(owner[rows, columns][mask] + 1, minlength=len(others) + 1)
    if inside < MIN_VISIBLE * whole or (not over and inside - lost[0] > 0.04 * whole):
        return False
    return all(
        np.count_nonzero(owner == i) - lost[i + 1] >= MIN_VISIBLE * other.mask.sum()
        for i, other in enumerate(others)
        if lost[i + 1]
    )


def _overlap(sprite: Sprite, size_hw: tuple[int, int]) -> tuple[slice, slice, slice, slice]:
    """Rows and columns of the picture, then of the sprite, where both are; perhaps empty."""
    (height, width), (h, w) = size_hw, sprite.alpha.shape
    y1, y2 = max(0, sprite.top), max(0, min(height, sprite.top + h))
    x1, x2 = max(0, sprite.left), max(0, min(width, sprite.left + w))
    y2, x2 = max(y1, y2), max(x1, x2)
    inner = slice(y1 - sprite.top, y2 - sprite.top), slice(x1 - sprite.left, x2 - sprite.left)
    return slice(y1, y2), slice(x1, x2), *inner


def _claim(owner: NDArray[np.int16], sprite: Sprite, index: int) -> None:
    """Give the sprite's pixels to ``index``."""
    rows, columns, inner_rows, inner_columns = _overlap(sprite, (owner.shape[0], owner.shape[1]))
    owner[rows, columns][sprite.mask[inner_rows, inner_columns]] = index


def compose(
    background: Picture, sprites: list[Sprite], light: Light
) -> tuple[Picture, NDArray[np.int16]]:
    """Lay the sprites over the background in their order, each with its shadow.

    Returns:
        (H, W, 3) float32 RGB 0..255, and (H, W) int16 the sprite that each pixel shows.
    """
    picture = background.copy()
    size_hw = (picture.shape[0], picture.shape[1])
    owner = np.full(size_hw, NOTHING, np.int16)
    for index, sprite in enumerate(sprites):
        _cast_shadow(picture, sprite, light)
        rows, columns, inner_rows, inner_columns = _overlap(sprite, size_hw)
        patch = picture[rows, columns]
        if not patch.size:
            continue
        patch *= threefold(1 - sprite.alpha[inner_rows, inner_columns])
        patch += sprite.paint[inner_rows, inner_columns]
        _claim(owner, sprite, index)
    return picture, owner


def _cast_shadow(picture: Picture, sprite: Sprite, light: Light) -> None:
    reach = max(2, round(max(sprite.alpha.shape) * 0.05))
    soft = cv2.copyMakeBorder(
        sprite.alpha, 2 * reach, 2 * reach, 2 * reach, 2 * reach, cv2.BORDER_CONSTANT, value=0
    )
    soft = cv2.blur(cv2.blur(soft, (reach + 1, reach + 1)), (reach + 1, reach + 1))
    left = sprite.left - 2 * reach - round(light.toward[0] * reach)
    top = sprite.top - 2 * reach - round(light.toward[1] * reach)
    shadow = Sprite(left, top, sprite.paint, soft, sprite.mask)
    rows, columns, inner_rows, inner_columns = _overlap(
        shadow, (picture.shape[0], picture.shape[1])
    )
    patch = picture[rows, columns]
    if patch.size:
        patch *= threefold(1 - np.float32(0.42) * soft[inner_rows, inner_columns])


def look_at(
    labels: list[int], sprites: list[Sprite], owner: NDArray[np.int16]
) -> tuple[Seen, ...]:
    """The truth: tight boxes of what is visible. A thing wholly out of sight has no entry."""
    seen = []
    size_hw = (owner.shape[0], owner.shape[1])
    for index, (label, sprite) in enumerate(zip(labels, sprites)):
        x, y, width, height = cv2.boundingRect((owner == index).astype(np.uint8))
        count, whole = int(np.count_nonzero(owner == index)), int(sprite.mask.sum())
        _, _, inner_rows, inner_columns = _overlap(sprite, size_hw)
        inside = int(sprite.mask[inner_rows, inner_columns].sum())
        if count:
            box = (x, y, width, height)
            seen.append(Seen(index, label, box, count / whole, (inside - count) / whole))
    return tuple(seen)
