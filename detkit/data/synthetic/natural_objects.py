"""Five of the sample's ten things: those one finds lying, growing, swimming or shining."""

from __future__ import annotations

import math

from detkit.data.synthetic.canvas import Pen, arc, smooth
from detkit.data.synthetic.rng import Colour, Dice, tint

WHITE = (248, 246, 240)
DARK = (36, 34, 44)


def draw_fish(pen: Pen, dice: Dice) -> None:
    """A fish looking right, with fins, eye, and stripes, spots or a pale belly."""
    skin, fins = dice.colour(), dice.colour()
    if dice.chance(0.5):
        fins = tint(skin, -0.3)
    deep, fork = dice.between(0.4, 0.58), dice.between(0.36, 0.52)
    pen.polygon([(-0.5, 0), (-1.0, -fork), (-0.8, 0), (-1.0, fork)], fins)
    pen.polygon([(0.3, -deep * 0.8), (-0.1, -deep - 0.26), (-0.42, -deep * 0.5)], fins)
    pen.polygon([(0.1, deep * 0.8), (-0.22, deep + 0.2), (-0.3, deep * 0.6)], fins)
    outline = [(1.0, 0.02), (0.74, -deep * 0.62), (0.25, -deep), (-0.3, -deep * 0.6)]
    outline += [(-0.68, -0.1), (-0.68, 0.1), (-0.3, deep * 0.6), (0.25, deep), (0.74, deep * 0.6)]
    body = smooth(outline)
    pen.polygon(body, skin)
    mark = dice.pick([WHITE, tint(skin, 0.5), tint(skin, -0.4), dice.colour()])
    style = dice.whole(0, 3)
    if style == 0:
        for x in (-0.36, -0.02, 0.32):
            band = arc(x, 0, 0.09, deep * (0.86 - 0.5 * abs(x - 0.15)), 0, 360)
            pen.polygon(band, mark)
    elif style == 1:
        for _ in range(9):
            r = dice.between(0.04, 0.08)
            pen.ellipse(dice.between(-0.4, 0.4), deep * dice.between(-0.6, 0.6), r, r, mark)
    elif style == 2:
        pen.polygon([(-0.6, 0.02), (0.96, 0.06), (0.7, deep * 0.6), (0.25, deep * 0.97),
                     (-0.3, deep * 0.58)], tint(skin, 0.5))  # fmt: skip
    pen.stroke(arc(0.3, 0, 0.14, deep * 0.6, -60, 60), 0.045, tint(skin, -0.45))
    pen.polygon([(0.28, 0.06), (-0.08, 0.26), (-0.02, 0.02)], fins)
    pen.ellipse(0.7, -0.1, 0.12, 0.12, WHITE)
    pen.ellipse(0.73, -0.1, 0.065, 0.065, DARK)


def draw_key(pen: Pen, dice: Dice) -> None:
    """A key with its bow at the left and its teeth at the right."""
    metal = dice.pick([(222, 178, 66), (190, 194, 202), (190, 120, 72), (96, 98, 110)])
    if dice.chance(0.35):
        metal = dice.colour()
    bow, thick, style = dice.between(0.34, 0.42), dice.between(0.14, 0.18), dice.whole(0, 2)
    x, end = bow - 1, 0.98
    pen.polygon(_bar(x, -thick / 2, end, thick / 2), metal)
    teeth, depth = dice.pick([2, 2, 3]), dice.between(0.24, 0.34)
    for i in range(teeth):
        right = end - i * 0.22
        reach = depth * dice.pick([0.75, 1.0])
        pen.polygon(_bar(right - 0.13, 0, right, thick / 2 + reach), metal)
    if style == 0:
        pen.ellipse(x, 0, bow, bow, metal)
        pen.ellipse(x, 0, bow * 0.55, bow * 0.55, None)
    elif style == 1:
        for dx, dy in ((-0.35, 0), (0.2, -0.55), (0.2, 0.55)):
            pen.ellipse(x + bow * dx, bow * dy, bow * 0.62, bow * 0.62, metal)
        for dx, dy in ((-0.4, 0), (0.2, -0.55), (0.2, 0.55)):
            pen.ellipse(x + bow * dx, bow * dy, bow * 0.3, bow * 0.3, None)
    else:
        pen.polygon([(x + bow * a, bow * b) for a, b in
                     ((-1, -0.5), (-0.5, -1), (0.5, -1), (1, -0.4), (1, 0.4), (0.5, 1), (-0.5, 1),
                      (-1, 0.5))], metal)  # fmt: skip
        pen.polygon(_bar(x - bow * 0.6, -bow * 0.5, x, bow * 0.5), None)
    collar = x + bow + 0.07
    pen.polygon(_bar(collar - 0.05, -thick * 0.95, collar + 0.05, thick * 0.95), tint(metal, -0.25))
    with pen.clipped():
        shine = [(collar + 0.12, -thick * 0.2), (end - 0.05, -thick * 0.2)]
        pen.stroke(shine, 0.03, tint(metal, 0.5))


def draw_leaf(pen: Pen, dice: Dice) -> None:
    """A leaf with its stalk at the left and its tip at the right: plain, toothed or lobed."""
    blade = dice.colour((100, 100, 120, 85, 50, 30, 5), (0.5, 0.9), (0.4, 0.85))
    if dice.chance(0.2):
        blade = dice.colour(value=(0.4, 0.9))
    vein = dice.pick([tint(blade, 0.45), tint(blade, -0.4)])
    half, style, base = dice.between(0.38, 0.55), dice.whole(0, 2), -0.66
    upper = []
    steps = 28
    for i in range(steps + 1):
        t = i / steps
        y = half * math.sin(math.pi * t**0.8) ** 0.9 if 0 < i < steps else 0.0
        if style == 1 and 1 < i < steps - 1:
            y += 0.06 if i % 2 else -0.03
        if style == 2:
            y *= 1 + 0.26 * math.cos(2 * math.pi * 3.5 * t + 0.6)
        upper.append((base + (1 - base) * t, y))
    stalk = [(-0.98, dice.between(-0.12, 0.12)), (-0.8, 0.01), (base + 0.1, 0)]
    pen.stroke(stalk, 0.085, tint(blade, -0.35))
    pen.polygon([(x, -y) for x, y in upper] + upper[::-1], blade)
    with pen.clipped():
        pen.polygon(upper, tint(blade, -0.12))
        pen.stroke([(base, 0), (0.9, 0)], 0.055, vein)
        for i in range(5):
            x = base + 0.18 + 0.27 * i
            for side in (-1, 1):
                pen.stroke([(x, 0), (x + 0.26, side * half * 0.82)], 0.035, vein)


def draw_mushroom(pen: Pen, dice: Dice) -> None:
    """A mushroom with a domed cap, spots, and a pale stem."""
    cap = dice.colour(hues=(0, 5, 25, 35, 20), value=(0.5, 0.95))
    if dice.chance(0.4):
        cap = dice.colour()
    stem = dice.pick([(240, 228, 204), (226, 206, 176), (250, 246, 238)])
    thin, wide = dice.between(0.17, 0.26), dice.between(0.24, 0.38)
    height, brim = dice.between(0.85, 1.05), dice.between(-0.02, 0.14)
    leg = [(-thin, brim), (-thin, 0.45), (-wide, 0.82), (0, 0.96), (wide, 0.82), (thin, 0.45)]
    pen.polygon(smooth([*leg, (thin, brim)]), stem)
    pen.stroke([(thin * 0.4, brim + 0.2), (wide * 0.5, 0.78)], 0.06, tint(stem, -0.18))
    if dice.chance(0.5):
        ring = [(-thin - 0.1, 0.4), (-thin, 0.26), (thin, 0.26), (thin + 0.1, 0.4)]
        pen.polygon(ring, tint(stem, -0.12))
    pen.ellipse(0, brim, 0.94, 0.2, tint(stem, -0.28))
    dome = [*arc(0, brim, 0.96, height, 180, 360), *arc(0, brim, 0.96, 0.1, 0, -180)]
    pen.polygon(arc(0, brim, 0.96, height, 180, 360), cap)
    pen.polygon(dome, cap)
    if dice.chance(0.75):
        _spots(pen, dice, brim, height, dice.pick([WHITE, WHITE, tint(cap, 0.5), tint(cap, -0.35)]))


def _spots(pen: Pen, dice: Dice, brim: float, height: float, colour: Colour) -> None:
    grow = dice.between(0.8, 1.25)
    for x, y, r in ((-0.55, 0.3, 0.11), (-0.2, 0.62, 0.14), (0.3, 0.62, 0.1), (0.08, 0.28, 0.13),
                    (0.58, 0.34, 0.12), (-0.78, 0.1, 0.07), (0.0, 0.88, 0.08)):  # fmt: skip
        r *= grow * dice.between(0.8, 1.2)
        pen.ellipse(x + dice.between(-0.05, 0.05), brim - height * y, r, r * 0.8, colour)


def draw_star(pen: Pen, dice: Dice) -> None:
    """A star of five or six points: plain, with a border, or with folded facets."""
    paint = dice.colour(hues=(48, 48, 52)) if dice.chance(0.35) else dice.colour()
    points, waist = dice.pick([5, 5, 5, 6]), dice.between(0.4, 0.52)
    rim = _star(points, 1.0, waist)
    style = dice.whole(0, 2)
    pen.polygon(rim, paint)
    if style == 0:
        for i in range(0, 2 * points, 2):
            pen.polygon([(0, 0), rim[i], rim[i + 1]], tint(paint, -0.3))
    elif style == 1:
        pen.polygon(rim, tint(paint, -0.45))
        pen.polygon(_star(points, 0.78, waist), paint)
    else:
        pen.polygon(_star(points, 0.5, waist), tint(paint, 0.55))


def _star(points: int, radius: float, waist: float) -> list[tuple[float, float]]:
    rim = []
    for i in range(2 * points):
        r, angle = radius * (waist if i % 2 else 1.0), math.pi * (i / points - 0.5)
        rim.append((r * math.cos(angle), r * math.sin(angle)))
    return rim


def _bar(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]
