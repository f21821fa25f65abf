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
WAYS = {"nearest": "INTER_NEAREST", "bilinear": "INTER_LINEAR", "bicubic": "INTER_CUBIC",
        "area": "INTER_AREA", "lanczos": "INTER_LANCZOS4"}


@dataclass(frozen=True)
class Border:
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

    def outer_hw(self, inner_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width with the border of a picture of ``inner_hw``.

        Source: agrees with mmcv's ``Pad``.
        """
        if self.size_hw is not None:
            return self.size_hw
        high, wide = (max(inner_hw), max(inner_hw)) if self.square else inner_hw
        return _up(high, self.divisor), _up(wide, self.divisor)


@dataclass(frozen=True)
class InputRule:
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
    border: Border | None = None

    def resized_hw(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a picture of ``image_hw`` after the resize.

        Source: agrees with mmcv's ``rescale_size`` and mmdet's ``Resize(keep_ratio=True)``.
        """
        factor = self._factor(image_hw)
        return max(1, int(image_hw[0] * factor + 0.5)), max(1, int(image_hw[1] * factor + 0.5))

    def canvas_for(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        """The smallest canvas (height, width) that holds the resized picture and its border."""
        high, wide = self.resized_hw(image_hw)
        if self.border is not None:
            high, wide = self.border.outer_hw((high, wide))
        return _up(high, self.divisor), _up(wide, self.divisor)

    def resized_to(self, scale: tuple[int, int]) -> InputRule:
        """The same rule for pictures of another size; a border of fixed size changes alike."""
        border = self.border
        if border is not None and border.size_hw is not None:
            high, wide = border.size_hw
            old, new = max(self.scale), max(scale)
            border = replace(border, size_hw=(-(-high * new // old), -(-wide * new // old)))
        return replace(self, scale=scale, border=border)

    def _factor(self, image_hw: tuple[int, int]) -> float:
        long, short = max(self.scale), min(self.scale)
        return min(long / max(image_hw), short / min(image_hw))


@dataclass(frozen=True)
class Fitted:
    """A picture on its canvas.

    Args:
        canvas: (H, W, 3) uint8 RGB.
        valid_hw: height and width of what is picture to the network, at the canvas's top left: the
            resized picture with its border.
        image_hw: height and width of the picture as it was given.
        resized_hw: height and width that it has on the canvas.
    """

    canvas: Image
    valid_hw: tuple[int, int]
    image_hw: tuple[int, int]
    resized_hw: tuple[int, int]

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Pixels of the canvas for one of the picture, across and down."""
        return (self.resized_hw[1] / self.image_hw[1], self.resized_hw[0] / self.image_hw[0])


def fit(image: Image, canvas_hw: tuple[int, int], rule: InputRule) -> Fitted:
    """Resize a picture by the rule, or further until the canvas holds it, and lay it there.

    Args:
        image: (H, W, 3) uint8 RGB, not empty; not changed.
        canvas_hw: height and width of the canvas in pixels.
        rule: the resize of the test pipeline.
    """
    import cv2

    image_hw = (image.shape[0], image.shape[1])
    high, wide = rule.resized_hw(image_hw)
    if high > canvas_hw[0] or wide > canvas_hw[1]:
        factor = min(canvas_hw[0] / image_hw[0], canvas_hw[1] / image_hw[1])
        high = min(canvas_hw[0], max(1, int(image_hw[0] * factor + 0.5)))
        wide = min(canvas_hw[1], max(1, int(image_hw[1] * factor + 0.5)))
    valid_hw, colour = (high, wide), (0, 0, 0)
    if rule.border is not None:
        outer = rule.border.outer_hw((high, wide))
        valid_hw = (min(outer[0], canvas_hw[0]), min(outer[1], canvas_hw[1]))
        colour = rule.border.pixel
    canvas: Image = np.empty((*canvas_hw, 3), np.uint8)
    if (high, wide) == image_hw:
        canvas[:high, :wide] = image
    else:
        canvas[:high, :wide] = cv2.resize(image, (wide, high),
                                          interpolation=getattr(cv2, WAYS[rule.interpolation]))
    canvas[high:] = colour
    canvas[:high, wide:] = colour
    return Fitted(canvas, valid_hw, image_hw, (high, wide))


def rule_from(content: Mapping[str, Any]) -> InputRule:
    """The rule of which ``dataclasses.asdict`` made ``content``; lists stand for tuples.

    Raises:
        KeyError, TypeError, ValueError: something is missing or of another type.
    """
    border = content.get("border")
    if border is not None:
        size, pixel = border["size_hw"], border["pixel"]
        border = Border(None if size is None else (int(size[0]), int(size[1])),
                        int(border["divisor"]), bool(border["square"]),
                        (int(pixel[0]), int(pixel[1]), int(pixel[2])))
    scale = content["scale"]
    rule = InputRule((int(scale[0]), int(scale[1])), int(content["divisor"]),
                     str(content["interpolation"]), border)
    sides = [*rule.scale, rule.divisor]
    if border is not None:
        sides += [border.divisor, *(border.size_hw or ())]
    if min(sides) < 1 or rule.interpolation not in WAYS:
        raise ValueError(f"a rule of sides {sides} and interpolation {rule.interpolation!r}")
    if border is not None and not all(0 <= value <= 255 for value in border.pixel):
        raise ValueError(f"a border's pixel {border.pixel}")
    return rule


def rule_of(pipeline: Sequence[Mapping[str, Any]], divisor: int) -> InputRule:
    """The rule that a test pipeline follows.

    Args:
        pipeline: its steps, as a config writes them.
        divisor: the data preprocessor's ``pad_size_divisor``.

    Raises:
        ExportError: there is no resize that keeps the ratio, or a step that a canvas cannot
            stand for.
    """
    resize: Mapping[str, Any] | None = None
    border: Border | None = None
    for step in pipeline:
        name = str(step.get("type", "")).rsplit(".", 1)[-1]
        if name == "Resize" and resize is None and border is None:
            resize = step
        elif name == "Pad" and border is None:
            border = _border_of(step)
        elif not (name.startswith(("Load", "Pack")) or name == "FilterAnnotations"):
            raise ExportError(f"the test pipeline's step {name}",
                              expected="LoadImage, one Resize, one Pad behind it and "
                              "PackDetInputs only")
    wanted = (resize or {}).get("scale")
    if resize is None or not resize.get("keep_ratio", False) or not _is_pair(wanted):
        raise ExportError("the test pipeline's Resize",
                          got="none" if resize is None else dict(resize),
                          expected="scale=(long, short) and keep_ratio=True")
    if resize.get("backend", "cv2") != "cv2":
        raise ExportError("the test pipeline's Resize.backend", got=resize["backend"],
                          expected="cv2")
    interpolation = str(resize.get("interpolation", "bilinear"))
    if interpolation not in WAYS:
        raise ExportError("the test pipeline's Resize.interpolation", got=interpolation,
                          expected=" or ".join(WAYS))
    scale = (int(wanted[0]), int(wanted[1]))  # type: ignore[index]
    return InputRule(scale, divisor, interpolation, border)


def _border_of(step: Mapping[str, Any]) -> Border:
    if step.get("padding_mode", "constant") != "constant":
        raise ExportError("the test pipeline's Pad.padding_mode", got=step["padding_mode"],
                          expected="constant")
    value = step.get("pad_val", 0)
    value = value.get("img", 0) if isinstance(value, Mapping) else value
    # Pipelines read BGR, and write sizes as width x height.
    blue, green, red = value if isinstance(value, (tuple, list)) else (value,) * 3
    size = step.get("size")
    return Border(
        size_hw=None if size is None else (int(size[1]), int(size[0])),
        divisor=int(step.get("size_divisor") or 1),
        square=bool(step.get("pad_to_square", False)),
        pixel=(int(red), int(green), int(blue)),
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def _up(side: int, divisor: int) -> int:
    return -(-side // divisor) * divisor
