"""Which canvases an engine is made for, and which of them a picture goes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from detkit.inference.letterbox import ResizeSpec

MAX_INPUT_SIZES = 4
Size = tuple[int, int]


def resize_spec_for_sizes(resize_spec: ResizeSpec, sizes: Sequence[Size | int]) -> ResizeSpec:
    """The rule that fills canvases of the sizes that were asked for; the model's own for none.

    Args:
        resize_spec: the checkpoint's.
        sizes: (height, width) of canvases, or one number: the longer side of the pictures.
    """
    if not sizes:
        return resize_spec
    sides = [(size, size) if isinstance(size, int) else (max(size), min(size)) for size in sizes]
    scale = max(long_side for long_side, _ in sides), max(short_side for _, short_side in sides)
    return resize_spec.with_scale(scale)


def select_input_sizes(
    resize_spec: ResizeSpec, sizes: Sequence[Size | int], image_sizes: Iterable[Size]
) -> list[Size]:
    """The canvases to make an engine for, the most frequent first.

    Args:
        resize_spec: of `resize_spec_for_sizes`.
        sizes: what was asked for; whole sizes are the canvases.
        image_sizes: (height, width) of pictures as they are given. Without whole sizes the canvases
            are those that most of them need, at most four, and a square one that any picture
            fits in.
    """
    explicit_sizes = [size for size in sizes if not isinstance(size, int)]
    if explicit_sizes:
        return list(dict.fromkeys(explicit_sizes))
    counts = Counter(resize_spec.input_hw_for(original_hw) for original_hw in image_sizes)
    common = [input_hw for input_hw, _ in counts.most_common(MAX_INPUT_SIZES)]
    return list(dict.fromkeys([*common, square_input(resize_spec)]))


def square_input(resize_spec: ResizeSpec) -> Size:
    """The canvas that holds any picture that the rule has resized, with its border."""
    side = max(resize_spec.scale)
    height, width = (side, side) if resize_spec.border is None else resize_spec.border.padded_hw(
        (side, side))
    return -(-height // resize_spec.divisor) * resize_spec.divisor, -(
        -width // resize_spec.divisor) * resize_spec.divisor


def select_input_hw(resize_spec: ResizeSpec, original_hw: Size,
                    input_sizes: Iterable[Size]) -> Size:
    """The canvas for a original_hw: of those on which it is the largest, the smallest.

    Args:
        original_hw: its height and width.
        input_sizes: at least one.
    """
    height, width = resize_spec.resized_hw(original_hw)

    def score(input_hw: Size) -> tuple[float, int]:
        return min(input_hw[0] / height, input_hw[1] / width, 1.0), -input_hw[0] * input_hw[1]

    return max(input_sizes, key=score)
