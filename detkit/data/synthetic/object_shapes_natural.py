"""Five of the ten object classes of the sample: fish, key, leaf, mushroom and star."""

from __future__ import annotations

import math

from detkit.data.synthetic.canvas import Canvas, arc, rectangle, smooth_curve
from detkit.data.synthetic.rng import KeyedRng, tint

WHITE = (248, 246, 240)
DARK = (36, 34, 44)
# Of a mushroom: x, relative height and radius.
SPOTS = ((-0.55, 0.3, 0.11), (-0.2, 0.62, 0.14), (0.3, 0.62, 0.1), (0.08, 0.28, 0.13),
         (0.58, 0.34, 0.12), (-0.78, 0.1, 0.07), (0.0, 0.88, 0.08))


def draw_fish(canvas: Canvas, rng: KeyedRng) -> None:
    """A fish looking right, with fins, eye, and stripes, spots or a pale belly."""
    skin, fins = rng.color(), rng.color()
    if rng.bernoulli(0.5):
        fins = tint(skin, -0.3)
    half_height, fork = rng.uniform(0.4, 0.58), rng.uniform(0.36, 0.52)
    canvas.polygon([(-0.5, 0), (-1.0, -fork), (-0.8, 0), (-1.0, fork)], fins)
    canvas.polygon([(0.3, -half_height * 0.8), (-0.1, -half_height - 0.26),
                    (-0.42, -half_height * 0.5)], fins)
    canvas.polygon([(0.1, half_height * 0.8), (-0.22, half_height + 0.2),
                    (-0.3, half_height * 0.6)], fins)
    outline = [(1.0, 0.02), (0.74, -half_height * 0.62), (0.25, -half_height),
               (-0.3, -half_height * 0.6), (-0.68, -0.1), (-0.68, 0.1), (-0.3, half_height * 0.6),
               (0.25, half_height), (0.74, half_height * 0.6)]
    canvas.polygon(smooth_curve(outline), skin)
    pattern_color = rng.choice([WHITE, tint(skin, 0.5), tint(skin, -0.4), rng.color()])
    style = rng.randint(0, 3)
    if style == 0:
        for x in (-0.36, -0.02, 0.32):
            canvas.ellipse(x, 0, 0.09, half_height * (0.86 - 0.5 * abs(x - 0.15)), pattern_color)
    elif style == 1:
        for _ in range(9):
            r = rng.uniform(0.04, 0.08)
            x, y = rng.uniform(-0.4, 0.4), half_height * rng.uniform(-0.6, 0.6)
            canvas.circle(x, y, r, pattern_color)
    elif style == 2:
        canvas.polygon([(-0.6, 0.02), (0.96, 0.06), (0.7, half_height * 0.6),
                        (0.25, half_height * 0.97), (-0.3, half_height * 0.58)],
                       tint(skin, 0.5))
    canvas.stroke(arc(0.3, 0, 0.14, half_height * 0.6, -60, 60), 0.045, tint(skin, -0.45))
    canvas.polygon([(0.28, 0.06), (-0.08, 0.26), (-0.02, 0.02)], fins)
    canvas.circle(0.7, -0.1, 0.12, WHITE)
    canvas.circle(0.73, -0.1, 0.065, DARK)


def draw_key(canvas: Canvas, rng: KeyedRng) -> None:
    """A key, its bow on the left and its bit on the right."""
    metal = rng.choice([(222, 178, 66), (190, 194, 202), (190, 120, 72), (96, 98, 110)])
    if rng.bernoulli(0.35):
        metal = rng.color()
    bow, thickness, style = rng.uniform(0.34, 0.42), rng.uniform(0.14, 0.18), rng.randint(0, 2)
    x, end = bow - 1, 0.98
    canvas.polygon(rectangle(x, -thickness / 2, end, thickness / 2), metal)
    teeth, depth = rng.choice([2, 2, 3]), rng.uniform(0.24, 0.34)
    for i in range(teeth):
        right = end - i * 0.22
        reach = depth * rng.choice([0.75, 1.0])
        canvas.polygon(rectangle(right - 0.13, 0, right, thickness / 2 + reach), metal)
    if style == 0:
        canvas.circle(x, 0, bow, metal)
        canvas.circle(x, 0, bow * 0.55, None)
    elif style == 1:
        for dx, dy in ((-0.35, 0), (0.2, -0.55), (0.2, 0.55)):
            canvas.circle(x + bow * dx, bow * dy, bow * 0.62, metal)
        for dx, dy in ((-0.4, 0), (0.2, -0.55), (0.2, 0.55)):
            canvas.circle(x + bow * dx, bow * dy, bow * 0.3, None)
    else:
        canvas.polygon([(x + bow * a, bow * b)
                        for a, b in ((-1, -0.5), (-0.5, -1), (0.5, -1), (1, -0.4), (1, 0.4),
                                     (0.5, 1), (-0.5, 1), (-1, 0.5))], metal)
        canvas.polygon(rectangle(x - bow * 0.6, -bow * 0.5, x, bow * 0.5), None)
    collar = x + bow + 0.07
    canvas.polygon(rectangle(collar - 0.05, -thickness * 0.95, collar + 0.05, thickness * 0.95),
                   tint(metal, -0.25))
    with canvas.clip_to_drawn():
        shine = [(collar + 0.12, -thickness * 0.2), (end - 0.05, -thickness * 0.2)]
        canvas.stroke(shine, 0.03, tint(metal, 0.5))


def draw_leaf(canvas: Canvas, rng: KeyedRng) -> None:
    """A leaf, its stalk on the left and its tip on the right: plain, toothed or lobed."""
    blade = rng.color((100, 100, 120, 85, 50, 30, 5), (0.5, 0.9), (0.4, 0.85))
    if rng.bernoulli(0.2):
        blade = rng.color(value=(0.4, 0.9))
    vein = rng.choice([tint(blade, 0.45), tint(blade, -0.4)])
    half, style, base = rng.uniform(0.38, 0.55), rng.randint(0, 2), -0.66
    upper, steps = [], 28
    for i in range(steps + 1):
        t = i / steps
        y = half * math.sin(math.pi * t**0.8) ** 0.9 if 0 < i < steps else 0.0
        if style == 1 and 1 < i < steps - 1:
            y += 0.06 if i % 2 else -0.03
        if style == 2:
            y *= 1 + 0.26 * math.cos(2 * math.pi * 3.5 * t + 0.6)
        upper.append((base + (1 - base) * t, y))
    stalk = [(-0.98, rng.uniform(-0.12, 0.12)), (-0.8, 0.01), (base + 0.1, 0)]
    canvas.stroke(stalk, 0.085, tint(blade, -0.35))
    canvas.polygon([(x, -y) for x, y in upper] + upper[::-1], blade)
    with canvas.clip_to_drawn():
        canvas.polygon(upper, tint(blade, -0.12))
        canvas.stroke([(base, 0), (0.9, 0)], 0.055, vein)
        for i in range(5):
            x = base + 0.18 + 0.27 * i
            for side in (-1, 1):
                canvas.stroke([(x, 0), (x + 0.26, side * half * 0.82)], 0.035, vein)


def draw_mushroom(canvas: Canvas, rng: KeyedRng) -> None:
    """A mushroom with a domed cap, spots, and a pale stem."""
    cap = rng.color(hues=(0, 5, 25, 35, 20), value=(0.5, 0.95))
    if rng.bernoulli(0.4):
        cap = rng.color()
    stem = rng.choice([(240, 228, 204), (226, 206, 176), (250, 246, 238)])
    top_half_width, bottom_half_width = rng.uniform(0.17, 0.26), rng.uniform(0.24, 0.38)
    height, brim = rng.uniform(0.85, 1.05), rng.uniform(-0.02, 0.14)
    leg = [(-top_half_width, brim), (-top_half_width, 0.45), (-bottom_half_width, 0.82), (0, 0.96),
           (bottom_half_width, 0.82), (top_half_width, 0.45)]
    canvas.polygon(smooth_curve([*leg, (top_half_width, brim)]), stem)
    canvas.stroke([(top_half_width * 0.4, brim + 0.2), (bottom_half_width * 0.5, 0.78)], 0.06,
                  tint(stem, -0.18))
    if rng.bernoulli(0.5):
        ring = [(-top_half_width - 0.1, 0.4), (-top_half_width, 0.26), (top_half_width, 0.26),
                (top_half_width + 0.1, 0.4)]
        canvas.polygon(ring, tint(stem, -0.12))
    canvas.ellipse(0, brim, 0.94, 0.2, tint(stem, -0.28))
    dome = [*arc(0, brim, 0.96, height, 180, 360), *arc(0, brim, 0.96, 0.1, 0, -180)]
    canvas.polygon(arc(0, brim, 0.96, height, 180, 360), cap)
    canvas.polygon(dome, cap)
    if rng.bernoulli(0.75):
        color = rng.choice([WHITE, WHITE, tint(cap, 0.5), tint(cap, -0.35)])
        scale = rng.uniform(0.8, 1.25)
        for x, y, r in SPOTS:
            r *= scale * rng.uniform(0.8, 1.2)
            canvas.ellipse(x + rng.uniform(-0.05, 0.05), brim - height * y, r, r * 0.8, color)


def draw_star(canvas: Canvas, rng: KeyedRng) -> None:
    """A star with five or six points: with facets, a border or a smaller star inside."""
    paint = rng.color(hues=(48, 48, 52)) if rng.bernoulli(0.35) else rng.color()
    points, waist = rng.choice([5, 5, 5, 6]), rng.uniform(0.4, 0.52)
    rim = _star(points, 1.0, waist)
    style = rng.randint(0, 2)
    canvas.polygon(rim, paint)
    if style == 0:
        for i in range(0, 2 * points, 2):
            canvas.polygon([(0, 0), rim[i], rim[i + 1]], tint(paint, -0.3))
    elif style == 1:
        canvas.polygon(rim, tint(paint, -0.45))
        canvas.polygon(_star(points, 0.78, waist), paint)
    else:
        canvas.polygon(_star(points, 0.5, waist), tint(paint, 0.55))


def _star(points: int, radius: float, waist: float) -> list[tuple[float, float]]:
    radii = (radius, radius * waist)
    angles = [math.pi * (i / points - 0.5) for i in range(2 * points)]
    return [(radii[i % 2] * math.cos(angle), radii[i % 2] * math.sin(angle))
            for i, angle in enumerate(angles)]
