"""Backgrounds of the built-in sample: wood, grass, tiles, cloth, clouds, paper, stone chips."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from detkit.data.synthetic.rng import Colour, Dice, tint

Picture = NDArray[np.float32]


def draw_background(dice: Dice, height: int, width: int, scale: float) -> Picture:
    """Draw one background, its kind thrown by the dice.

    Args:
        dice: decide kind, colours and grain.
        height, width: pixels.
        scale: 1 for a picture of 320x240; the grain grows with it.

    Returns:
        (height, width, 3) float32 RGB, 0..255.
    """
    kinds = (draw_wood, draw_grass, draw_tiles, draw_cloth, draw_clouds, draw_paper, draw_chips)
    picture = dice.pick(kinds)(dice, height, width, scale)
    return np.clip(picture, 0, 255)


def smooth_noise(dice: Dice, height: int, width: int, cell_y: float, cell_x: float) -> Picture:
    """(height, width) float32 in about 0..1 that changes over cells of this many pixels."""
    rows, columns = max(2, round(height / cell_y) + 1), max(2, round(width / cell_x) + 1)
    noise: Picture = cv2.resize(
        dice.field(rows, columns), (width, height), interpolation=cv2.INTER_CUBIC
    )
    return noise


def fractal_noise(dice: Dice, height: int, width: int, cell: float, octaves: int = 4) -> Picture:
    """(height, width) float32 in about 0..1: ``octaves`` layers, each half as big and as strong."""
    total = np.zeros((height, width), np.float32)
    weight = 0.5
    for _ in range(octaves):
        total += np.float32(weight) * smooth_noise(dice, height, width, cell, cell)
        cell, weight = max(1.5, cell / 2), weight / 2
    return total


def _mix(share: Picture, low: Colour, high: Colour) -> Picture:
    """Each pixel between two colours: ``low`` where the share is 0, ``high`` where it is 1."""
    share = share.astype(np.float32, copy=False)
    # One plane after the other: NumPy crawls when it broadcasts over a last axis of 3.
    planes = [share * np.float32(b - a) + np.float32(a) for a, b in zip(low, high)]
    picture: Picture = cv2.merge(planes)
    return picture


def threefold(plane: Picture) -> Picture:
    """(H, W) to (H, W, 3), the same in each channel."""
    picture: Picture = cv2.merge([plane, plane, plane])
    return picture


def _coordinates(dice: Dice, height: int, width: int, lean: float) -> tuple[Picture, Picture]:
    """Right and down, pixels, turned by up to ``lean`` degrees and shifted by chance."""
    turn = np.radians(dice.between(-lean, lean))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x + np.float32(dice.between(900, 1900)), y + np.float32(dice.between(900, 1900))
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return x * cos - y * sin, x * sin + y * cos


def draw_wood(dice: Dice, height: int, width: int, scale: float) -> Picture:
    """Planks with grain along them, lying or standing."""
    upright = dice.chance(0.4)
    h, w = (width, height) if upright else (height, width)
    light = dice.colour(hues=(28, 32, 24), saturation=(0.25, 0.55), value=(0.6, 0.9))
    wave = smooth_noise(dice, h, w, 30 * scale, 160 * scale)
    rows = np.arange(h, dtype=np.float32)[:, None]
    grain = (rows / np.float32(scale) + 40 * wave) / np.float32(dice.between(4, 9)) % 1
    fibre = smooth_noise(dice, h, w, 1.5, 40 * scale)
    board = dice.between(40, 80) * scale
    plank = ((rows + dice.between(0, 80) * scale) / board).astype(np.float32)
    jitter = dice.field(64, 1)[np.floor(plank).astype(np.int64) % 64, 0]
    share = 0.35 * grain + 0.35 * fibre + 0.5 * jitter
    picture = _mix(share, light, tint(light, -0.5))
    seam = (plank % 1) * board < 1.6 * scale
    picture *= np.where(seam, np.float32(0.45), np.float32(1))[:, :, None]
    return np.ascontiguousarray(picture.transpose(1, 0, 2)) if upright else picture


def draw_grass(dice: Dice, height: int, width: int, scale: float) -> Picture:
    """A meadow: soft patches and many thin blades."""
    base = dice.colour(hues=(95, 110, 75), saturation=(0.35, 0.7), value=(0.3, 0.6))
    patches = fractal_noise(dice, height, width, 60 * scale)
    picture: Picture = _mix(patches, tint(base, -0.35), tint(base, 0.25)).astype(np.float32)
    blades = dice.field(420, 5)
    for x, y, lean, length, glow in blades.tolist():
        foot = (round(x * width * 16), round((y * 1.1) * height * 16))
        reach = scale * (6 + 14 * length)
        tip = (foot[0] + round((lean - 0.5) * reach * 16), foot[1] - round(reach * 16))
        ink = tint(base, glow * 0.7 - 0.3)
        cv2.line(picture, foot, tip, ink, max(1, round(scale)), cv2.LINE_8, 4)
    return cv2.blur(picture, (2, 2))  # type: ignore[no-any-return]


def draw_tiles(dice: Dice, height: int, width: int, scale: float) -> Picture:
    """Tiles or bricks with grout between, each with its own shade."""
    x, y = _coordinates(dice, height, width, 40)
    base = dice.colour(saturation=(0.08, 0.45), value=(0.45, 0.9))
    tall = dice.between(22, 52) * scale
    wide = tall * dice.pick([1.0, 1.0, 2.0])
    row = np.floor(y / tall)
    if dice.chance(0.5):
        x = x + (row % 2) * (wide / 2)
    column = np.floor(x / wide)
    shades = dice.field(64, 64)
    share = shades[row.astype(np.int64) % 64, column.astype(np.int64) % 64]
    if dice.chance(0.3):
        share = 0.25 * share + 0.75 * ((row + column) % 2)
    share = 0.8 * share + 0.2 * fractal_noise(dice, height, width, 12 * scale, 3)
    picture = _mix(share, tint(base, -0.3), tint(base, 0.2))
    edge = np.minimum(y - row * tall, x - column * wide)
    grout = threefold(np.clip((edge - 0.8 * scale) / (1.2 * scale), 0, 1).astype(np.float32))
    ink = dice.pick([tint(base, 0.5), tint(base, -0.5)])
    return picture * grout + _mix(1 - grout[:, :, 0], (0, 0, 0), ink)


def draw_cloth(dice: Dice, height: int, width: int, scale: float) -> Picture:
    """Woven cloth: plain, striped or checked, with the weave to be seen and soft folds."""
    x, y = _coordinates(dice, height, width, 45)
    base = dice.colour(saturation=(0.15, 0.55), value=(0.45, 0.9))
    other = dice.pick([tint(base, 0.35), tint(base, -0.4), dice.colour((0, 45, 200), (0.1, 0.5))])
    period, band = dice.between(24, 60) * scale, dice.between(0.2, 0.55)
    style = dice.whole(0, 2)
    share = np.zeros((height, width), np.float32)
    if style >= 1:
        share += ((x / period) % 1 < band) * np.float32(0.45)
    if style == 2:
        share += ((y / period) % 1 < band) * np.float32(0.45)
    thread = np.float32(2.6 * scale)
    weave = ((x / thread) % 1 < 0.5) ^ ((y / thread) % 1 < 0.5)
    folds = smooth_noise(dice, height, width, 90 * scale, 60 * scale)
    picture = _mix(share, base, other)
    threads = np.where(weave, np.float32(1.04), np.float32(0.92))
    return picture * threefold(threads * (0.8 + 0.35 * folds))


def draw_clouds(dice: Dice, height: int, width: int, scale: float) -> Picture:
    """Cloudy colour, as sky or water."""
    far = dice.colour(hues=(205, 200, 180, 30, 260), saturation=(0.2, 0.6), value=(0.45, 0.9))
    share = fractal_noise(dice, height, width, dice.between(40, 110) * scale, 5)
    share = np.clip(share * 2.2 - 0.6, 0, 1)
    return _mix(share, far, tint(far, dice.pick([0.65, 0.4, -0.4])))


def draw_paper(dice: Dice, height: int, width: int, scale: float) -> Picture:
    """A gradient between two colours with fine grain."""
    one = dice.colour(saturation=(0.1, 0.5), value=(0.4, 0.95))
    two = dice.colour(saturation=(0.1, 0.5), value=(0.4, 0.95))
    x, y = _coordinates(dice, height, width, 180)
    slope = x * np.float32(dice.between(0.2, 1)) + y
    share = (slope - slope.min()) / np.float32(max(1.0, float(slope.max() - slope.min())))
    grain = smooth_noise(dice, height, width, 1.7 * scale, 1.7 * scale)
    return _mix(share, one, two) + threefold(np.float32(dice.between(6, 22)) * (grain - 0.5))


def draw_chips(dice: Dice, height: int, width: int, scale: float) -> Picture:
    """Terrazzo: small stone chips of a few colours in a plain ground; none of them is a thing."""
    ground = dice.colour(saturation=(0.05, 0.3), value=(0.5, 0.95))
    inks = [tint(ground, -0.35), tint(ground, 0.4), dice.colour(saturation=(0.1, 0.5))]
    picture: Picture = np.empty((height, width, 3), np.float32)
    picture[:] = ground
    for row in dice.field(150, 12).tolist():
        reach = scale * (2 + 5 * row[2])
        corners = [
            (row[0] * width + reach * (row[3 + i] + 0.5) * x, row[1] * height + reach * y)
            for i, (x, y) in enumerate(((1, 0), (0.4, 0.9), (-0.6, 0.8), (-1, -0.2), (0.1, -1)))
        ]
        points = np.rint(np.array(corners) * 16).astype(np.int32)
        cv2.fillPoly(picture, [points], inks[int(row[9] * 3)], cv2.LINE_8, 4)
    grain = smooth_noise(dice, height, width, 2 * scale, 2 * scale)
    blurred: Picture = cv2.blur(picture, (2, 2))
    return blurred + threefold(8 * (grain - 0.5))
