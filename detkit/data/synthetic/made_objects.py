"""The ten things of the built-in sample, and the first five of them: made by people, standing.

Each function draws one thing into about -1..1 (x right, y down) with a fresh look: proportions,
colours and details come from the dice, the silhouette stays that of its class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from detkit.data.synthetic.canvas import Pen, arc, smooth
from detkit.data.synthetic.natural_objects import (
    draw_fish,
    draw_key,
    draw_leaf,
    draw_mushroom,
    draw_star,
)
from detkit.data.synthetic.rng import Dice, tint

WHITE = (248, 246, 240)
DARK = (44, 42, 52)


def draw_car(pen: Pen, dice: Dice) -> None:
    """A car from the side, looking right."""
    paint = dice.colour()
    if dice.chance(0.2):
        paint = dice.pick([WHITE, (150, 152, 160), (58, 60, 70)])
    glass = dice.pick([(176, 214, 232), (120, 160, 190), (70, 84, 104)])
    roof, nose = dice.between(-0.62, -0.5), dice.between(0.4, 0.55)
    tail = dice.pick([-0.82, -0.66, -0.9])
    body = [(-0.98, -0.06), (tail, -0.14), (-0.5, roof), (0.2, roof), (nose, -0.14), (0.92, -0.02)]
    pen.polygon([*body, (1.0, 0.14), (0.98, 0.36), (-0.98, 0.36), (-1.0, 0.1)], paint)
    pen.polygon([(-1.0, 0.2), (1.0, 0.2), (0.98, 0.36), (-0.98, 0.36)], tint(paint, -0.25))
    sill, top = -0.13, roof + 0.09
    pen.polygon([(tail + 0.18, sill), (-0.44, top), (-0.16, top), (-0.16, sill)], glass)
    pen.polygon([(-0.07, sill), (-0.07, top), (0.16, top), (nose - 0.12, sill)], glass)
    pen.stroke([(-0.115, -0.06), (-0.115, 0.28)], 0.025, tint(paint, -0.4))
    pen.stroke([(-0.04, 0.02), (0.08, 0.02)], 0.05, tint(paint, -0.5))
    pen.ellipse(0.92, 0.08, 0.06, 0.07, (255, 238, 160))
    pen.ellipse(-0.95, 0.08, 0.04, 0.08, (214, 40, 40))
    rim, radius = dice.pick([WHITE, (190, 194, 200), paint]), dice.between(0.23, 0.28)
    for x in (-0.56, 0.56):
        pen.ellipse(x, 0.36, radius, radius, DARK)
        pen.ellipse(x, 0.36, radius * 0.55, radius * 0.55, rim)
        pen.ellipse(x, 0.36, radius * 0.2, radius * 0.2, DARK)


def draw_clock(pen: Pen, dice: Dice) -> None:
    """A round clock with two hands; some have an alarm clock's bells and feet."""
    case = dice.colour()
    face = dice.pick([WHITE, WHITE, (252, 236, 200), tint(dice.colour(), 0.75)])
    middle, radius = 0.0, 0.95
    if dice.chance(0.5):
        middle, radius = 0.12, 0.74
        for side in (-1, 1):
            pen.stroke([(side * 0.4, 0.6), (side * 0.62, 0.93)], 0.13, tint(case, -0.45))
            # Half a disc on the shoulder, its flat side towards the clock.
            start = 135 if side < 0 else 225
            pen.polygon(arc(side * 0.46, -0.52, 0.34, 0.34, start, start + 180), tint(case, 0.25))
        pen.stroke([(0, -0.6), (0, -0.86)], 0.09, tint(case, -0.45))
        pen.stroke([(-0.12, -0.9), (0.12, -0.9)], 0.1, tint(case, -0.45))
    pen.ellipse(0, middle, radius, radius, case)
    rim = radius * dice.between(0.76, 0.86)
    pen.ellipse(0, middle, rim, rim, face)
    step = dice.pick([30, 30, 90])
    for degrees in range(0, 360, step):
        turn = math.radians(degrees)
        x, y = math.cos(turn) * rim, math.sin(turn) * rim
        pen.stroke([(x * 0.76, y * 0.76 + middle), (x * 0.9, y * 0.9 + middle)], 0.05, DARK)
    hands = dice.pick([DARK, DARK, tint(case, -0.5)])
    for length, width in ((0.5, 0.11), (0.76, 0.07)):
        turn = math.radians(dice.between(0, 360))
        x, y = rim * length * math.cos(turn), rim * length * math.sin(turn)
        pen.stroke([(0, middle), (x, middle + y)], width, hands)
    pen.ellipse(0, middle, 0.08, 0.08, hands)


def draw_house(pen: Pen, dice: Dice) -> None:
    """A house from the front: gable, door, windows, chimney."""
    walls = dice.colour(saturation=(0.1, 0.6), value=(0.75, 1.0))
    roof = dice.colour(saturation=(0.45, 0.9), value=(0.4, 0.85))
    half, eaves = dice.between(0.62, 0.78), dice.between(-0.25, -0.08)
    side = dice.pick([-1, 1])
    brick = dice.pick([(158, 84, 66), (120, 112, 112), (190, 170, 150)])
    x = side * half * 0.55
    pen.polygon([(x - 0.12, eaves), (x - 0.12, -0.86), (x + 0.12, -0.86), (x + 0.12, eaves)], brick)
    pen.stroke([(x - 0.13, -0.86), (x + 0.13, -0.86)], 0.08, tint(brick, -0.3))
    pen.polygon([(-half, eaves - 0.1), (half, eaves - 0.1), (half, 0.95), (-half, 0.95)], walls)
    pen.polygon([(-half, 0.82), (half, 0.82), (half, 0.95), (-half, 0.95)], tint(walls, -0.3))
    over, ridge = half + 0.2, dice.pick([0.02, 0.02, 0.35])
    pen.polygon([(-over, eaves), (-ridge, -0.95), (ridge, -0.95), (over, eaves)], roof)
    pen.polygon([(ridge, -0.95), (over, eaves), (over * 0.3, eaves)], tint(roof, 0.12))
    pen.stroke([(-over, eaves), (over, eaves)], 0.07, tint(roof, -0.4))
    door, at = dice.colour(value=(0.3, 0.8)), dice.pick([-0.3, 0.0, 0.3]) * half
    pen.polygon([(at - 0.16, 0.95), (at - 0.16, 0.3), (at + 0.16, 0.3), (at + 0.16, 0.95)], door)
    pen.ellipse(at + 0.09, 0.64, 0.035, 0.035, (250, 214, 90))
    light = dice.pick([(255, 236, 150), (180, 220, 240), (110, 140, 170)])
    for wx in ([-0.6 * half, 0.6 * half] if at == 0 else [-at * 1.6]):
        _window(pen, wx, (eaves + 0.85) / 2 - 0.02, 0.15 if at == 0 else 0.22, light)
    if ridge < 0.1 and dice.chance(0.5):
        pen.ellipse(0, (eaves - 0.95) / 2 + 0.1, 0.12, 0.12, light)


def _window(pen: Pen, x: float, y: float, half: float, light: tuple[int, int, int]) -> None:
    corners = [(x + a * half, y + b * half) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    pen.polygon(corners, light)
    pen.stroke(corners, 0.05, WHITE, closed=True)
    pen.stroke([(x - half, y), (x + half, y)], 0.04, WHITE)
    pen.stroke([(x, y - half), (x, y + half)], 0.04, WHITE)


def draw_mug(pen: Pen, dice: Dice) -> None:
    """A mug with a handle at the right and a drink in it."""
    glaze = dice.colour() if dice.chance(0.8) else WHITE
    half, foot = dice.between(0.52, 0.64), dice.between(0.8, 1.0)
    x, top, low = -0.2, -0.66, 0.72
    wall = [(x - half, top), *arc(x, low, half * foot, 0.16, 180, 0), (x + half, top)]
    pen.polygon(wall, glaze)
    mark = dice.colour() if dice.chance(0.7) else tint(glaze, -0.5)
    style = dice.whole(0, 3)
    with pen.clipped():
        if style == 0:
            for y in (-0.02, 0.36) if dice.chance(0.5) else (0.16,):
                pen.stroke(arc(x, y, half * 1.1, 0.14, 180, 0), 0.2, mark)
        elif style == 1:
            for i in range(12):
                pen.ellipse(x - 0.5 + 0.33 * (i % 4), -0.3 + 0.38 * (i // 4), 0.09, 0.09, mark)
        elif style == 2:
            heart = [(0, 0.26), (-0.27, 0), (-0.2, -0.2), (0, -0.1), (0.2, -0.2), (0.27, 0)]
            pen.polygon(smooth([(x + hx, 0.14 + hy) for hx, hy in heart]), mark)
    ring = arc(x + half * 0.95, 0.02, dice.between(0.36, 0.46), dice.between(0.36, 0.44), -88, 88)
    pen.stroke(ring, dice.between(0.15, 0.2), tint(glaze, -0.15))
    pen.ellipse(x, top, half, 0.2, tint(glaze, 0.35))
    pen.ellipse(x, top + 0.01, half - 0.08, 0.14, tint(glaze, -0.45))
    drink = dice.pick([(88, 52, 30), (150, 100, 60), (196, 120, 40), (128, 150, 60)])
    pen.ellipse(x, top + 0.05, half - 0.13, 0.09, drink)


def draw_umbrella(pen: Pen, dice: Dice) -> None:
    """An open umbrella with panels and a hooked stick."""
    cloth = dice.colour()
    other = dice.pick([tint(cloth, 0.45), tint(cloth, -0.35), dice.colour(), WHITE])
    stick = dice.pick([DARK, (120, 76, 44), (170, 174, 180)])
    brim, rise = dice.between(0.0, 0.12), dice.between(0.78, 0.95)
    hook = arc(dice.pick([-0.15, 0.15]), 0.78, 0.15, 0.18, 0, 180)
    pen.stroke([(0, brim - rise - 0.06), (0, brim)], 0.08, stick)
    pen.stroke([(0, brim - 0.2), (0, 0.78)], 0.09, stick)
    pen.stroke(hook, 0.1, tint(stick, 0.15))
    pen.polygon(arc(0, brim, 0.98, rise, 180, 360), cloth)
    panels = dice.pick([4, 5, 6])
    edges = [-0.98 + 1.96 * i / panels for i in range(panels + 1)]
    with pen.clipped():
        for i in range(1, panels, 2):
            left, right = edges[i], edges[i + 1]
            curve = [*_rib(left, brim, rise), *reversed(_rib(right, brim, rise))]
            pen.polygon(curve, other)
        pen.stroke([(0, brim + 0.1), (0, 0.78)], 0.09, stick)
        pen.stroke(hook, 0.1, tint(stick, 0.15))
    for left, right in zip(edges, edges[1:]):
        # Scallops: bite a shallow arc out of the brim of each panel.
        bite = arc((left + right) / 2, brim + 0.02, (right - left) / 2 - 0.015, 0.13, 180, 360)
        pen.polygon(bite, None)
    pen.stroke([(0, brim - 0.14), (0, brim + 0.1)], 0.09, stick)


def _rib(foot: float, brim: float, rise: float) -> list[tuple[float, float]]:
    """The seam from the umbrella's top to the brim at x = foot."""
    start, stop = (270, 360) if foot >= 0 else (270, 180)
    return arc(0, brim + 0.03, foot if foot >= 0 else -foot, rise + 0.03, start, stop)


DRAWERS: Mapping[str, Callable[[Pen, Dice], None]] = MappingProxyType(
    {
        "car": draw_car,
        "clock": draw_clock,
        "fish": draw_fish,
        "house": draw_house,
        "key": draw_key,
        "leaf": draw_leaf,
        "mug": draw_mug,
        "mushroom": draw_mushroom,
        "star": draw_star,
        "umbrella": draw_umbrella,
    }
)
CLASSES: tuple[str, ...] = tuple(DRAWERS)
# How far a thing may lean, degrees to each side; a house is not met lying on its roof.
LEAN: Mapping[str, float] = MappingProxyType(
    {
        "car": 20, "clock": 25, "fish": 40, "house": 14, "key": 75,
        "leaf": 75, "mug": 20, "mushroom": 30, "star": 36, "umbrella": 40,
    }  # fmt: skip
)
