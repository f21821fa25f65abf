"""The ten object classes of the sample; draws car, clock, house, mug and umbrella.

Each function draws one object into about -1..1 (x right, y down). Proportions, colors and details
are random; the silhouette is that of the class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from detkit.data.synthetic.canvas import Canvas, arc, rectangle, smooth_curve
from detkit.data.synthetic.object_shapes_natural import (
    draw_fish,
    draw_key,
    draw_leaf,
    draw_mushroom,
    draw_star,
)
from detkit.data.synthetic.rng import KeyedRng, tint

WHITE = (248, 246, 240)
DARK = (44, 42, 52)


def draw_car(canvas: Canvas, rng: KeyedRng) -> None:
    """A car from the side, looking right."""
    paint = rng.color()
    if rng.bernoulli(0.2):
        paint = rng.choice([WHITE, (150, 152, 160), (58, 60, 70)])
    glass = rng.choice([(176, 214, 232), (120, 160, 190), (70, 84, 104)])
    roof, nose = rng.uniform(-0.62, -0.5), rng.uniform(0.4, 0.55)
    tail = rng.choice([-0.82, -0.66, -0.9])
    body = [(-0.98, -0.06), (tail, -0.14), (-0.5, roof), (0.2, roof), (nose, -0.14), (0.92, -0.02)]
    canvas.polygon([*body, (1.0, 0.14), (0.98, 0.36), (-0.98, 0.36), (-1.0, 0.1)], paint)
    canvas.polygon([(-1.0, 0.2), (1.0, 0.2), (0.98, 0.36), (-0.98, 0.36)], tint(paint, -0.25))
    sill, top = -0.13, roof + 0.09
    canvas.polygon([(tail + 0.18, sill), (-0.44, top), (-0.16, top), (-0.16, sill)], glass)
    canvas.polygon([(-0.07, sill), (-0.07, top), (0.16, top), (nose - 0.12, sill)], glass)
    canvas.stroke([(-0.115, -0.06), (-0.115, 0.28)], 0.025, tint(paint, -0.4))
    canvas.stroke([(-0.04, 0.02), (0.08, 0.02)], 0.05, tint(paint, -0.5))
    canvas.ellipse(0.92, 0.08, 0.06, 0.07, (255, 238, 160))
    canvas.ellipse(-0.95, 0.08, 0.04, 0.08, (214, 40, 40))
    rim, radius = rng.choice([WHITE, (190, 194, 200), paint]), rng.uniform(0.23, 0.28)
    for x in (-0.56, 0.56):
        canvas.circle(x, 0.36, radius, DARK)
        canvas.circle(x, 0.36, radius * 0.55, rim)
        canvas.circle(x, 0.36, radius * 0.2, DARK)


def draw_clock(canvas: Canvas, rng: KeyedRng) -> None:
    """A round clock with two hands, sometimes with the bells and feet of an alarm clock."""
    case = rng.color()
    face = rng.choice([WHITE, WHITE, (252, 236, 200), tint(rng.color(), 0.75)])
    middle, radius = 0.0, 0.95
    if rng.bernoulli(0.5):
        middle, radius = 0.12, 0.74
        for side in (-1, 1):
            canvas.stroke([(side * 0.4, 0.6), (side * 0.62, 0.93)], 0.13, tint(case, -0.45))
            # A half-disk bell, its flat side towards the clock.
            start = 135 if side < 0 else 225
            canvas.polygon(arc(side * 0.46, -0.52, 0.34, 0.34, start, start + 180),
                           tint(case, 0.25))
        canvas.stroke([(0, -0.6), (0, -0.86)], 0.09, tint(case, -0.45))
        canvas.stroke([(-0.12, -0.9), (0.12, -0.9)], 0.1, tint(case, -0.45))
    canvas.circle(0, middle, radius, case)
    rim = radius * rng.uniform(0.76, 0.86)
    canvas.circle(0, middle, rim, face)
    step = rng.choice([30, 30, 90])
    for degrees in range(0, 360, step):
        angle = math.radians(degrees)
        x, y = math.cos(angle) * rim, math.sin(angle) * rim
        canvas.stroke([(x * 0.76, y * 0.76 + middle), (x * 0.9, y * 0.9 + middle)], 0.05, DARK)
    hands = rng.choice([DARK, DARK, tint(case, -0.5)])
    for length, width in ((0.5, 0.11), (0.76, 0.07)):
        angle = math.radians(rng.uniform(0, 360))
        x, y = rim * length * math.cos(angle), rim * length * math.sin(angle)
        canvas.stroke([(0, middle), (x, middle + y)], width, hands)
    canvas.circle(0, middle, 0.08, hands)


def draw_house(canvas: Canvas, rng: KeyedRng) -> None:
    """A house from the front: gable, door, windows, chimney."""
    walls = rng.color(saturation=(0.1, 0.6), value=(0.75, 1.0))
    roof = rng.color(saturation=(0.45, 0.9), value=(0.4, 0.85))
    half, eaves = rng.uniform(0.62, 0.78), rng.uniform(-0.25, -0.08)
    side = rng.choice([-1, 1])
    brick = rng.choice([(158, 84, 66), (120, 112, 112), (190, 170, 150)])
    x = side * half * 0.55
    canvas.polygon(rectangle(x - 0.12, -0.86, x + 0.12, eaves), brick)
    canvas.stroke([(x - 0.13, -0.86), (x + 0.13, -0.86)], 0.08, tint(brick, -0.3))
    canvas.polygon(rectangle(-half, eaves - 0.1, half, 0.95), walls)
    canvas.polygon(rectangle(-half, 0.82, half, 0.95), tint(walls, -0.3))
    over, ridge = half + 0.2, rng.choice([0.02, 0.02, 0.35])
    canvas.polygon([(-over, eaves), (-ridge, -0.95), (ridge, -0.95), (over, eaves)], roof)
    canvas.polygon([(ridge, -0.95), (over, eaves), (over * 0.3, eaves)], tint(roof, 0.12))
    canvas.stroke([(-over, eaves), (over, eaves)], 0.07, tint(roof, -0.4))
    door, at = rng.color(value=(0.3, 0.8)), rng.choice([-0.3, 0.0, 0.3]) * half
    canvas.polygon(rectangle(at - 0.16, 0.3, at + 0.16, 0.95), door)
    canvas.circle(at + 0.09, 0.64, 0.035, (250, 214, 90))
    light = rng.choice([(255, 236, 150), (180, 220, 240), (110, 140, 170)])
    for wx in ([-0.6 * half, 0.6 * half] if at == 0 else [-at * 1.6]):
        wy, size = (eaves + 0.85) / 2 - 0.02, 0.15 if at == 0 else 0.22
        frame = rectangle(wx - size, wy - size, wx + size, wy + size)
        canvas.polygon(frame, light)
        canvas.stroke(frame, 0.05, WHITE, closed=True)
        canvas.stroke([(wx - size, wy), (wx + size, wy)], 0.04, WHITE)
        canvas.stroke([(wx, wy - size), (wx, wy + size)], 0.04, WHITE)
    if ridge < 0.1 and rng.bernoulli(0.5):
        canvas.circle(0, (eaves - 0.95) / 2 + 0.1, 0.12, light)


def draw_mug(canvas: Canvas, rng: KeyedRng) -> None:
    """A mug with its handle on the right and a drink in it."""
    glaze = rng.color() if rng.bernoulli(0.8) else WHITE
    half, foot = rng.uniform(0.52, 0.64), rng.uniform(0.8, 1.0)
    x, top, low = -0.2, -0.66, 0.72
    wall = [(x - half, top), *arc(x, low, half * foot, 0.16, 180, 0), (x + half, top)]
    canvas.polygon(wall, glaze)
    pattern_color = rng.color() if rng.bernoulli(0.7) else tint(glaze, -0.5)
    style = rng.randint(0, 3)
    with canvas.clip_to_drawn():
        if style == 0:
            for y in (-0.02, 0.36) if rng.bernoulli(0.5) else (0.16,):
                canvas.stroke(arc(x, y, half * 1.1, 0.14, 180, 0), 0.2, pattern_color)
        elif style == 1:
            for i in range(12):
                dot = x - 0.5 + 0.33 * (i % 4), -0.3 + 0.38 * (i // 4)
                canvas.circle(*dot, 0.09, pattern_color)
        elif style == 2:
            heart = [(0, 0.26), (-0.27, 0), (-0.2, -0.2), (0, -0.1), (0.2, -0.2), (0.27, 0)]
            canvas.polygon(smooth_curve([(x + hx, 0.14 + hy) for hx, hy in heart]), pattern_color)
    ring = arc(x + half * 0.95, 0.02, rng.uniform(0.36, 0.46), rng.uniform(0.36, 0.44), -88, 88)
    canvas.stroke(ring, rng.uniform(0.15, 0.2), tint(glaze, -0.15))
    canvas.ellipse(x, top, half, 0.2, tint(glaze, 0.35))
    canvas.ellipse(x, top + 0.01, half - 0.08, 0.14, tint(glaze, -0.45))
    drink = rng.choice([(88, 52, 30), (150, 100, 60), (196, 120, 40), (128, 150, 60)])
    canvas.ellipse(x, top + 0.05, half - 0.13, 0.09, drink)


def draw_umbrella(canvas: Canvas, rng: KeyedRng) -> None:
    """An open umbrella with panels and a hooked handle."""
    cloth = rng.color()
    other = rng.choice([tint(cloth, 0.45), tint(cloth, -0.35), rng.color(), WHITE])
    stick = rng.choice([DARK, (120, 76, 44), (170, 174, 180)])
    brim, rise = rng.uniform(0.0, 0.12), rng.uniform(0.78, 0.95)
    hook = arc(rng.choice([-0.15, 0.15]), 0.78, 0.15, 0.18, 0, 180)
    canvas.stroke([(0, brim - rise - 0.06), (0, brim)], 0.08, stick)
    canvas.stroke([(0, brim - 0.2), (0, 0.78)], 0.09, stick)
    canvas.stroke(hook, 0.1, tint(stick, 0.15))
    canvas.polygon(arc(0, brim, 0.98, rise, 180, 360), cloth)
    panels = rng.choice([4, 5, 6])
    edges = [-0.98 + 1.96 * i / panels for i in range(panels + 1)]
    with canvas.clip_to_drawn():
        for i in range(1, panels, 2):
            left, right = edges[i], edges[i + 1]
            curve = [*_rib(left, brim, rise), *reversed(_rib(right, brim, rise))]
            canvas.polygon(curve, other)
        canvas.stroke([(0, brim + 0.1), (0, 0.78)], 0.09, stick)
        canvas.stroke(hook, 0.1, tint(stick, 0.15))
    for left, right in zip(edges, edges[1:]):
        # Cut a shallow arc out of the brim of each panel.
        bite = arc((left + right) / 2, brim + 0.02, (right - left) / 2 - 0.015, 0.13, 180, 360)
        canvas.polygon(bite, None)
    canvas.stroke([(0, brim - 0.14), (0, brim + 0.1)], 0.09, stick)


def _rib(foot: float, brim: float, rise: float) -> list[tuple[float, float]]:
    """The seam from the umbrella's top to the brim at x = foot."""
    start, stop = (270, 360) if foot >= 0 else (270, 180)
    return arc(0, brim + 0.03, foot if foot >= 0 else -foot, rise + 0.03, start, stop)


DRAW_FUNCTIONS: Mapping[str, Callable[[Canvas, KeyedRng], None]] = MappingProxyType({
    "car": draw_car, "clock": draw_clock, "fish": draw_fish, "house": draw_house, "key": draw_key,
    "leaf": draw_leaf, "mug": draw_mug, "mushroom": draw_mushroom, "star": draw_star,
    "umbrella": draw_umbrella,
})
CLASSES: tuple[str, ...] = tuple(DRAW_FUNCTIONS)
# Maximum rotation of each class, degrees to each side.
MAX_ROTATION: Mapping[str, float] = MappingProxyType({
    "car": 20, "clock": 25, "fish": 40, "house": 14, "key": 75,
    "leaf": 75, "mug": 20, "mushroom": 30, "star": 36, "umbrella": 40,
})
