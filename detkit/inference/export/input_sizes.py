"""Select the input sizes of engines, and the one for an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from detkit.inference.letterbox import ResizeSpec

MAX_INPUT_SIZES = 4
Size = tuple[int, int]


def resize_spec_for_sizes(resize_spec: ResizeSpec, sizes: Sequence[Size | int]) -> ResizeSpec:
    """The resize for the given sizes; unchanged if there are none.

    Args:
        resize_spec: the checkpoint's.
        sizes: input sizes (height, width), or one number: the longer side of the resized images.
    """
    if not sizes:
        return resize_spec
    sides = [(size, size) if isinstance(size, int) else (max(size), min(size)) for size in sizes]
    scale = max(long_side for long_side, _ in sides), max(short_side for _, short_side in sides)
    return resize_spec.with_scale(scale)


def select_input_sizes(
    resize_spec: ResizeSpec, sizes: Sequence[Size | int], image_sizes: Iterable[Size]
) -> list[Size]:
    """The input sizes to create engines for, the most frequent first.

    Args:
        resize_spec: from `resize_spec_for_sizes`.
        sizes: the requested sizes; those with height and width are returned as they are.
        image_sizes: (height, width) of original images. If no height and width are requested, the
            result is the input sizes that most of the images need, at most four, and a square one
            that every image fits in.
    """
    explicit_sizes = [size for size in sizes if not isinstance(size, int)]
    if explicit_sizes:
        return list(dict.fromkeys(explicit_sizes))
    counts = Counter(resize_spec.input_hw_for(original_hw) for original_hw in image_sizes)
    common = [input_hw for input_hw, _ in counts.most_common(MAX_INPUT_SIZES)]
    return list(dict.fromkeys([*common, square_input(resize_spec)]))


def square_input(resize_spec: ResizeSpec) -> Size:
    """The square input size that every resized image fits in, with its padding."""
    side = max(resize_spec.scale)
    height, width = (side, side) if resize_spec.padding is None else resize_spec.padding.padded_hw(
        (side, side))
    return -(-height // resize_spec.divisor) * resize_spec.divisor, -(
        -width // resize_spec.divisor) * resize_spec.divisor


def select_input_hw(resize_spec: ResizeSpec, original_hw: Size,
                    input_sizes: Iterable[Size]) -> Size:
    """The input size in which an image is the largest; of several, the smallest size.

    Args:
        resize_spec: how the image is resized.
        original_hw: height and width of the image.
        input_sizes: at least one.
    """
    height, width = resize_spec.resized_hw(original_hw)

    def score(input_hw: Size) -> tuple[float, int]:
        return min(input_hw[0] / height, input_hw[1] / width, 1.0), -input_hw[0] * input_hw[1]

    return max(input_sizes, key=score)
