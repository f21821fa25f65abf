"""Background textures: wood, grass, tiles, cloth, clouds, paper and terrazzo."""

from __future__ import annotations

import cv2
import numpy as np

from detkit.data.synthetic.lighting import FloatImage, gray_to_rgb
from detkit.data.synthetic.rng import Color, KeyedRng, tint


def draw_background(rng: KeyedRng, height: int, width: int, scale: float) -> FloatImage:
    """Draw one background of a random type.

    Args:
        rng: determines type, colors and details.
        height, width: pixels.
        scale: size of the structures; 1 for an image of 320x240.

    Returns:
        (height, width, 3) float32 RGB, 0..255.
    """
    draw = rng.choice((draw_wood, draw_grass, draw_tiles, draw_cloth, draw_clouds, draw_paper,
                       draw_terrazzo))
    return np.clip(draw(rng, height, width, scale), 0, 255)


def smooth_noise(rng: KeyedRng, height: int, width: int, cell_y: float,
                 cell_x: float) -> FloatImage:
    """(height, width) float32 noise in about 0..1, interpolated between cells of this size."""
    rows, columns = max(2, round(height / cell_y) + 1), max(2, round(width / cell_x) + 1)
    noise: FloatImage = cv2.resize(rng.random_array(rows, columns), (width, height),
                                   interpolation=cv2.INTER_CUBIC)
    return noise


def fractal_noise(rng: KeyedRng, height: int, width: int, cell: float,
                  octaves: int = 4) -> FloatImage:
    """(height, width) float32 in about 0..1: octaves with halved cell size and amplitude."""
    total = np.zeros((height, width), np.float32)
    weight = 0.5
    for _ in range(octaves):
        total += np.float32(weight) * smooth_noise(rng, height, width, cell, cell)
        cell, weight = max(1.5, cell / 2), weight / 2
    return total


def _blend(weight: FloatImage, low: Color, high: Color) -> FloatImage:
    """Interpolate between two colors: ``low`` where weight is 0, ``high`` where it is 1."""
    weight = weight.astype(np.float32, copy=False)
    # Plane by plane: NumPy is slow when it broadcasts over a last axis of 3.
    image: FloatImage = cv2.merge(
        [weight * np.float32(b - a) + np.float32(a) for a, b in zip(low, high)])
    return image


def _rotated_grid(rng: KeyedRng, height: int, width: int,
                  max_angle: float) -> tuple[FloatImage, FloatImage]:
    """x and y coordinates in pixels, rotated by up to ``max_angle`` degrees and shifted."""
    angle = np.radians(rng.uniform(-max_angle, max_angle))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x + np.float32(rng.uniform(900, 1900)), y + np.float32(rng.uniform(900, 1900))
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cos - y * sin, x * sin + y * cos


def draw_wood(rng: KeyedRng, height: int, width: int, scale: float) -> FloatImage:
    """Horizontal or vertical planks with grain."""
    upright = rng.bernoulli(0.4)
    h, w = (width, height) if upright else (height, width)
    light = rng.color(hues=(28, 32, 24), saturation=(0.25, 0.55), value=(0.6, 0.9))
    wave = smooth_noise(rng, h, w, 30 * scale, 160 * scale)
    rows = np.arange(h, dtype=np.float32)[:, None]
    grain = (rows / np.float32(scale) + 40 * wave) / np.float32(rng.uniform(4, 9)) % 1
    fiber = smooth_noise(rng, h, w, 1.5, 40 * scale)
    board = rng.uniform(40, 80) * scale
    plank = ((rows + rng.uniform(0, 80) * scale) / board).astype(np.float32)
    jitter = rng.random_array(64, 1)[np.floor(plank).astype(np.int64) % 64, 0]
    weight = 0.35 * grain + 0.35 * fiber + 0.5 * jitter
    image = _blend(weight, light, tint(light, -0.5))
    seam = (plank % 1) * board < 1.6 * scale
    image *= np.where(seam, np.float32(0.45), np.float32(1))[:, :, None]
    return np.ascontiguousarray(image.transpose(1, 0, 2)) if upright else image


def draw_grass(rng: KeyedRng, height: int, width: int, scale: float) -> FloatImage:
    """Grass: soft patches and many thin blades."""
    base = rng.color(hues=(95, 110, 75), saturation=(0.35, 0.7), value=(0.3, 0.6))
    patches = fractal_noise(rng, height, width, 60 * scale)
    image = _blend(patches, tint(base, -0.35), tint(base, 0.25))
    for x, y, slant, length, brightness in rng.random_array(420, 5).tolist():
        base_point = (round(x * width * 16), round((y * 1.1) * height * 16))
        reach = scale * (6 + 14 * length)
        tip = (base_point[0] + round((slant - 0.5) * reach * 16), base_point[1] - round(reach * 16))
        color = tint(base, brightness * 0.7 - 0.3)
        cv2.line(image, base_point, tip, color, max(1, round(scale)), cv2.LINE_8, 4)
    return cv2.blur(image, (2, 2))  # type: ignore[no-any-return]


def draw_tiles(rng: KeyedRng, height: int, width: int, scale: float) -> FloatImage:
    """Tiles or bricks of random shades with grout."""
    x, y = _rotated_grid(rng, height, width, 40)
    base = rng.color(saturation=(0.08, 0.45), value=(0.45, 0.9))
    tile_height = rng.uniform(22, 52) * scale
    tile_width = tile_height * rng.choice([1.0, 1.0, 2.0])
    row = np.floor(y / tile_height)
    if rng.bernoulli(0.5):
        x = x + (row % 2) * (tile_width / 2)
    column = np.floor(x / tile_width)
    shades = rng.random_array(64, 64)
    weight = shades[row.astype(np.int64) % 64, column.astype(np.int64) % 64]
    if rng.bernoulli(0.3):
        weight = 0.25 * weight + 0.75 * ((row + column) % 2)
    weight = 0.8 * weight + 0.2 * fractal_noise(rng, height, width, 12 * scale, 3)
    image = _blend(weight, tint(base, -0.3), tint(base, 0.2))
    edge = np.minimum(y - row * tile_height, x - column * tile_width)
    grout = gray_to_rgb(np.clip((edge - 0.8 * scale) / (1.2 * scale), 0, 1).astype(np.float32))
    color = rng.choice([tint(base, 0.5), tint(base, -0.5)])
    return image * grout + _blend(1 - grout[:, :, 0], (0, 0, 0), color)


def draw_cloth(rng: KeyedRng, height: int, width: int, scale: float) -> FloatImage:
    """Woven cloth with soft folds: plain, striped or checked."""
    x, y = _rotated_grid(rng, height, width, 45)
    base = rng.color(saturation=(0.15, 0.55), value=(0.45, 0.9))
    other = rng.choice([tint(base, 0.35), tint(base, -0.4), rng.color((0, 45, 200), (0.1, 0.5))])
    period, band = rng.uniform(24, 60) * scale, rng.uniform(0.2, 0.55)
    style = rng.randint(0, 2)
    weight = np.zeros((height, width), np.float32)
    if style >= 1:
        weight += ((x / period) % 1 < band) * np.float32(0.45)
    if style == 2:
        weight += ((y / period) % 1 < band) * np.float32(0.45)
    thread = np.float32(2.6 * scale)
    weave = ((x / thread) % 1 < 0.5) ^ ((y / thread) % 1 < 0.5)
    folds = smooth_noise(rng, height, width, 90 * scale, 60 * scale)
    image = _blend(weight, base, other)
    threads = np.where(weave, np.float32(1.04), np.float32(0.92))
    return image * gray_to_rgb(threads * (0.8 + 0.35 * folds))


def draw_clouds(rng: KeyedRng, height: int, width: int, scale: float) -> FloatImage:
    """Fractal noise in two colors, as sky or water."""
    far = rng.color(hues=(205, 200, 180, 30, 260), saturation=(0.2, 0.6), value=(0.45, 0.9))
    weight = fractal_noise(rng, height, width, rng.uniform(40, 110) * scale, 5)
    weight = np.clip(weight * 2.2 - 0.6, 0, 1)
    return _blend(weight, far, tint(far, rng.choice([0.65, 0.4, -0.4])))


def draw_paper(rng: KeyedRng, height: int, width: int, scale: float) -> FloatImage:
    """A gradient between two colors with fine grain."""
    first_color = rng.color(saturation=(0.1, 0.5), value=(0.4, 0.95))
    second_color = rng.color(saturation=(0.1, 0.5), value=(0.4, 0.95))
    x, y = _rotated_grid(rng, height, width, 180)
    slope = x * np.float32(rng.uniform(0.2, 1)) + y
    weight = (slope - slope.min()) / np.float32(max(1.0, float(slope.max() - slope.min())))
    grain = smooth_noise(rng, height, width, 1.7 * scale, 1.7 * scale)
    return _blend(weight, first_color, second_color) + gray_to_rgb(
        np.float32(rng.uniform(6, 22)) * (grain - 0.5))


def draw_terrazzo(rng: KeyedRng, height: int, width: int, scale: float) -> FloatImage:
    """Terrazzo: small stone chips of a few colors in a plain ground."""
    ground = rng.color(saturation=(0.05, 0.3), value=(0.5, 0.95))
    colors = [tint(ground, -0.35), tint(ground, 0.4), rng.color(saturation=(0.1, 0.5))]
    image: FloatImage = np.empty((height, width, 3), np.float32)
    image[:] = ground
    for row in rng.random_array(150, 12).tolist():
        reach = scale * (2 + 5 * row[2])
        corners = [
            (row[0] * width + reach * (row[3 + i] + 0.5) * x, row[1] * height + reach * y)
            for i, (x, y) in enumerate(((1, 0), (0.4, 0.9), (-0.6, 0.8), (-1, -0.2), (0.1, -1)))
        ]
        points = np.rint(np.array(corners) * 16).astype(np.int32)
        cv2.fillPoly(image, [points], colors[int(row[9] * 3)], cv2.LINE_8, 4)
    grain = smooth_noise(rng, height, width, 2 * scale, 2 * scale)
    blurred: FloatImage = cv2.blur(image, (2, 2))
    return blurred + gray_to_rgb(8 * (grain - 0.5))
