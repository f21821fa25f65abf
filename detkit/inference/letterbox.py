"""A picture onto a canvas of fixed size, resized as the config's test pipeline does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import ExportError

Image = NDArray[np.uint8]
# mmcv's words, and OpenCV's.
INTERPOLATIONS = {
    "nearest": "INTER_NEAREST", "bilinear": "INTER_LINEAR", "bicubic": "INTER_CUBIC",
    "area": "INTER_AREA", "lanczos": "INTER_LANCZOS4"
}


@dataclass(frozen=True)
class Padding:
    """What a test pipeline's ``Pad`` lays to the right of a resized picture and below it.

    For the network it belongs to the picture, other than what lies beyond on the canvas: boxes may
    reach into it.

    Args:
        size_hw: height and width of the whole; None where ``divisor`` says it.
        divisor: else the sides of the whole are multiples of it.
        square: whether both sides are as long as the longer one before that.
        pixel: its colour, RGB.
    """

    size_hw: tuple[int, int] | None = None
    divisor: int = 1
    square: bool = False
    pixel: tuple[int, int, int] = (0, 0, 0)

    def padded_hw(self, inner_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width with the border of a picture of ``inner_hw``.

        Source: agrees with mmcv's ``Pad``.
        """
        if self.size_hw is not None:
            return self.size_hw
        height, width = (max(inner_hw), max(inner_hw)) if self.square else inner_hw
        return _round_up(height, self.divisor), _round_up(width, self.divisor)


@dataclass(frozen=True)
class ResizeSpec:
    """To which size a detector's pictures are brought.

    Args:
        scale: the longer and the shorter side, in pixels, that a picture may have at most; it is
            resized until it meets one of them.
        divisor: the sides of a canvas are multiples of it.
        interpolation: one of mmcv's words, 'bilinear' mostly.
        border: what is laid around the resized picture; None for nothing.
    """

    scale: tuple[int, int]
    divisor: int = 1
    interpolation: str = "bilinear"
    border: Padding | None = None

    def resized_hw(self, original_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a picture of ``original_hw`` after the resize.

        Source: agrees with mmcv's ``rescale_size`` and mmdet's ``Resize(keep_ratio=True)``.
        """
        factor = self._factor(original_hw)
        return max(1, int(original_hw[0] * factor + 0.5)), max(1,
                                                               int(original_hw[1] * factor + 0.5))

    def input_hw_for(self, original_hw: tuple[int, int]) -> tuple[int, int]:
        """The smallest canvas (height, width) that holds the resized picture and its border."""
        height, width = self.resized_hw(original_hw)
        if self.border is not None:
            height, width = self.border.padded_hw((height, width))
        return _round_up(height, self.divisor), _round_up(width, self.divisor)

    def with_scale(self, scale: tuple[int, int]) -> ResizeSpec:
        """The same rule for pictures of another size; a border of fixed size changes alike."""
        border = self.border
        if border is not None and border.size_hw is not None:
            height, width = border.size_hw
            old, new = max(self.scale), max(scale)
            border = replace(border, size_hw=(-(-height * new // old), -(-width * new // old)))
        return replace(self, scale=scale, border=border)

    def _factor(self, original_hw: tuple[int, int]) -> float:
        long_side, short_side = max(self.scale), min(self.scale)
        return min(long_side / max(original_hw), short_side / min(original_hw))


@dataclass(frozen=True)
class LetterboxedImage:
    """A picture on its canvas.

    Args:
        canvas: (H, W, 3) uint8 RGB.
        image_hw: height and width of what is picture to the network, at the canvas's top left: the
            resized picture with its border.
        original_hw: height and width of the picture as it was given.
        resized_hw: height and width that it has on the canvas.
    """

    canvas: Image
    image_hw: tuple[int, int]
    original_hw: tuple[int, int]
    resized_hw: tuple[int, int]

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Pixels of the canvas for one of the picture, across and down."""
        return (self.resized_hw[1] / self.original_hw[1], self.resized_hw[0] / self.original_hw[0])


def letterbox(image: Image, input_hw: tuple[int, int], resize_spec: ResizeSpec) -> LetterboxedImage:
    """Resize a picture by the rule, or further until the canvas holds it, and lay it there.

    Args:
        image: (H, W, 3) uint8 RGB, not empty; not changed.
        input_hw: height and width of the canvas in pixels.
        resize_spec: the resize of the test pipeline.
    """
    import cv2

    original_hw = (image.shape[0], image.shape[1])
    height, width = resize_spec.resized_hw(original_hw)
    if height > input_hw[0] or width > input_hw[1]:
        factor = min(input_hw[0] / original_hw[0], input_hw[1] / original_hw[1])
        height = min(input_hw[0], max(1, int(original_hw[0] * factor + 0.5)))
        width = min(input_hw[1], max(1, int(original_hw[1] * factor + 0.5)))
    image_hw, color = (height, width), (0, 0, 0)
    if resize_spec.border is not None:
        padded = resize_spec.border.padded_hw((height, width))
        image_hw = (min(padded[0], input_hw[0]), min(padded[1], input_hw[1]))
        color = resize_spec.border.pixel
    canvas: Image = np.empty((*input_hw, 3), np.uint8)
    if (height, width) == original_hw:
        canvas[:height, :width] = image
    else:
        canvas[:height, :width] = cv2.resize(
            image, (width, height),
            interpolation=getattr(cv2, INTERPOLATIONS[resize_spec.interpolation]))
    canvas[height:] = color
    canvas[:height, width:] = color
    return LetterboxedImage(canvas, image_hw, original_hw, (height, width))


def resize_spec_from_dict(content: Mapping[str, Any]) -> ResizeSpec:
    """The rule of which ``dataclasses.asdict`` made ``content``; lists stand for tuples.

    Raises:
        KeyError, TypeError, ValueError: something is missing or of another type.
    """
    border = content.get("border")
    if border is not None:
        size, pixel = border["size_hw"], border["pixel"]
        border = Padding(None if size is None else (int(size[0]), int(size[1])),
                         int(border["divisor"]), bool(border["square"]),
                         (int(pixel[0]), int(pixel[1]), int(pixel[2])))
    scale = content["scale"]
    resize_spec = ResizeSpec((int(scale[0]), int(scale[1])), int(content["divisor"]),
                             str(content["interpolation"]), border)
    sides = [*resize_spec.scale, resize_spec.divisor]
    if border is not None:
        sides += [border.divisor, *(border.size_hw or ())]
    if min(sides) < 1 or resize_spec.interpolation not in INTERPOLATIONS:
        raise ValueError(f"a rule of sides {sides} and interpolation {resize_spec.interpolation!r}")
    if border is not None and not all(0 <= value <= 255 for value in border.pixel):
        raise ValueError(f"a border's pixel {border.pixel}")
    return resize_spec


def resize_spec_from_pipeline(pipeline: Sequence[Mapping[str, Any]], divisor: int) -> ResizeSpec:
    """The rule that a test pipeline follows.

    Args:
        pipeline: its steps, as a config writes them.
        divisor: the data preprocessor's ``pad_size_divisor``.

    Raises:
        ExportError: there is no resize that keeps the ratio, or a step that a canvas cannot
            stand for.
    """
    resize: Mapping[str, Any] | None = None
    border: Padding | None = None
    for step in pipeline:
        name = str(step.get("type", "")).rsplit(".", 1)[-1]
        if name == "Resize" and resize is None and border is None:
            resize = step
        elif name == "Pad" and border is None:
            border = _padding_from_step(step)
        elif not (name.startswith(("Load", "Pack")) or name == "FilterAnnotations"):
            raise ExportError(f"the test pipeline's step {name}",
                              expected="LoadImage, one Resize, one Pad behind it and "
                              "PackDetInputs only")
    resize_scale = (resize or {}).get("scale")
    if resize is None or not resize.get("keep_ratio", False) or not _is_pair(resize_scale):
        raise ExportError("the test pipeline's Resize",
                          got="none" if resize is None else dict(resize),
                          expected="scale=(long, short) and keep_ratio=True")
    if resize.get("backend", "cv2") != "cv2":
        raise ExportError("the test pipeline's Resize.backend", got=resize["backend"],
                          expected="cv2")
    interpolation = str(resize.get("interpolation", "bilinear"))
    if interpolation not in INTERPOLATIONS:
        raise ExportError("the test pipeline's Resize.interpolation", got=interpolation,
                          expected=" or ".join(INTERPOLATIONS))
    scale = (int(resize_scale[0]), int(resize_scale[1]))  # type: ignore[index]
    return ResizeSpec(scale, divisor, interpolation, border)


def _padding_from_step(step: Mapping[str, Any]) -> Padding:
    if step.get("padding_mode", "constant") != "constant":
        raise ExportError("the test pipeline's Pad.padding_mode", got=step["padding_mode"],
                          expected="constant")
    value = step.get("pad_val", 0)
    value = value.get("img", 0) if isinstance(value, Mapping) else value
    # Pipelines read BGR, and write sizes as width x height.
    blue, green, red = value if isinstance(value, (tuple, list)) else (value,) * 3
    size = step.get("size")
    return Padding(
        size_hw=None if size is None else (int(size[1]), int(size[0])),
        divisor=int(step.get("size_divisor") or 1),
        square=bool(step.get("pad_to_square", False)),
        pixel=(int(red), int(green), int(blue)),
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def _round_up(side: int, divisor: int) -> int:
    return -(-side // divisor) * divisor
