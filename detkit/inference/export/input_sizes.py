"""Which canvases an engine is made for, and which of them a picture goes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from detkit.inference.letterbox import InputRule

MOST_CANVASES = 4
Size = tuple[int, int]


def rule_for(rule: InputRule, sizes: Sequence[Size | int]) -> InputRule:
    """The rule that fills canvases of the sizes that were asked for; the model's own for none.

    Args:
        rule: the checkpoint's.
        sizes: (height, width) of canvases, or one number: the longer side of the pictures.
    """
    if not sizes:
        return rule
    sides = [(size, size) if isinstance(size, int) else (max(size), min(size)) for size in sizes]
    scale = max(long for long, _ in sides), max(short for _, short in sides)
    return rule.resized_to(scale)


def canvases_for(
    rule: InputRule, sizes: Sequence[Size | int], pictures: Iterable[Size]
) -> list[Size]:
    """The canvases to make an engine for, the most frequent first.

    Args:
        rule: of `rule_for`.
        sizes: what was asked for; whole sizes are the canvases.
        pictures: (height, width) of pictures as they are given. Without whole sizes the canvases
            are those that most of them need, at most four, and a square one that any picture
            fits in.
    """
    whole = [size for size in sizes if not isinstance(size, int)]
    if whole:
        return list(dict.fromkeys(whole))
    wanted = Counter(rule.canvas_for(picture) for picture in pictures)
    found = [canvas for canvas, _ in wanted.most_common(MOST_CANVASES)]
    return list(dict.fromkeys([*found, square(rule)]))


def square(rule: InputRule) -> Size:
    """The canvas that holds any picture that the rule has resized, with its border."""
    side = max(rule.scale)
    high, wide = (side, side) if rule.border is None else rule.border.outer_hw((side, side))
    return -(-high // rule.divisor) * rule.divisor, -(-wide // rule.divisor) * rule.divisor


def canvas_of(rule: InputRule, picture: Size, canvases: Iterable[Size]) -> Size:
    """The canvas for a picture: of those on which it is the largest, the smallest.

    Args:
        picture: its height and width.
        canvases: at least one.
    """
    high, wide = rule.resized_hw(picture)

    def worth(canvas: Size) -> tuple[float, int]:
        return min(canvas[0] / high, canvas[1] / wide, 1.0), -canvas[0] * canvas[1]

    return max(canvases, key=worth)
