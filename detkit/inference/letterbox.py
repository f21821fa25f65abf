"""Resize an image as the config's test pipeline does, and pad it to an input of fixed size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import ExportError

Image = NDArray[np.uint8]
# mmcv's names and OpenCV's.
INTERPOLATIONS = {
    "nearest": "INTER_NEAREST", "bilinear": "INTER_LINEAR", "bicubic": "INTER_CUBIC",
    "area": "INTER_AREA", "lanczos": "INTER_LANCZOS4"
}


@dataclass(frozen=True)
class Padding:
    """The padding of a test pipeline's ``Pad``, to the right of a resized image and below it.

    The network treats it as a part of the image, and boxes may extend into it; the rest of the
    input is not.

    Args:
        size_hw: height and width of the padded image; None to use ``divisor``.
        divisor: the sides of the padded image are multiples of it.
        square: pad to a square before that.
        pad_value: RGB.
    """

    size_hw: tuple[int, int] | None = None
    divisor: int = 1
    square: bool = False
    pad_value: tuple[int, int, int] = (0, 0, 0)

    def padded_hw(self, resized_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a resized image with the padding.

        Source: agrees with mmcv's ``Pad``.
        """
        if self.size_hw is not None:
            return self.size_hw
        height, width = (max(resized_hw), max(resized_hw)) if self.square else resized_hw
        return _round_up(height, self.divisor), _round_up(width, self.divisor)


@dataclass(frozen=True)
class ResizeSpec:
    """How a detector's images are resized, keeping their aspect ratio.

    Args:
        scale: maximum length of the longer and the shorter side, in pixels; an image is resized to
            the largest size within both.
        divisor: the sides of an input are multiples of it.
        interpolation: mmcv's name of the interpolation, mostly 'bilinear'.
        padding: the padding of the resized image; None for none.
    """

    scale: tuple[int, int]
    divisor: int = 1
    interpolation: str = "bilinear"
    padding: Padding | None = None

    def resized_hw(self, original_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width of an image of ``original_hw`` after the resize.

        Source: agrees with mmcv's ``rescale_size`` and mmdet's ``Resize(keep_ratio=True)``.
        """
        factor = self._factor(original_hw)
        height, width = (max(1, int(side * factor + 0.5)) for side in original_hw)
        return height, width

    def input_hw_for(self, original_hw: tuple[int, int]) -> tuple[int, int]:
        """The smallest input (height, width) that the resized image and its padding fit in."""
        height, width = self.resized_hw(original_hw)
        if self.padding is not None:
            height, width = self.padding.padded_hw((height, width))
        return _round_up(height, self.divisor), _round_up(width, self.divisor)

    def with_scale(self, scale: tuple[int, int]) -> ResizeSpec:
        """The same resize with another scale; padding of fixed size is scaled, too."""
        padding = self.padding
        if padding is not None and padding.size_hw is not None:
            height, width = padding.size_hw
            old, new = max(self.scale), max(scale)
            padding = replace(padding, size_hw=(-(-height * new // old), -(-width * new // old)))
        return replace(self, scale=scale, padding=padding)

    def _factor(self, original_hw: tuple[int, int]) -> float:
        long_side, short_side = max(self.scale), min(self.scale)
        return min(long_side / max(original_hw), short_side / min(original_hw))


@dataclass(frozen=True)
class LetterboxedImage:
    """An image resized and padded to an input size.

    Args:
        canvas: (H, W, 3) uint8 RGB, of the input size.
        image_hw: height and width of the resized image with its padding, at the top left of the
            canvas.
        original_hw: height and width of the original image.
        resized_hw: height and width of the resized image.
    """

    canvas: Image
    image_hw: tuple[int, int]
    original_hw: tuple[int, int]
    resized_hw: tuple[int, int]

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Scale factors from the original to the resized image, in x and y."""
        return (self.resized_hw[1] / self.original_hw[1], self.resized_hw[0] / self.original_hw[0])


def letterbox(image: Image, input_hw: tuple[int, int], resize_spec: ResizeSpec) -> LetterboxedImage:
    """Resize an image, to a smaller size than ``resize_spec``'s if it does not fit, and pad it.

    Args:
        image: (H, W, 3) uint8 RGB, not empty; not changed.
        input_hw: height and width of the input in pixels.
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
    if resize_spec.padding is not None:
        padded = resize_spec.padding.padded_hw((height, width))
        image_hw = (min(padded[0], input_hw[0]), min(padded[1], input_hw[1]))
        color = resize_spec.padding.pad_value
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
    """The resize that `resize_spec_to_dict` wrote.

    Raises:
        KeyError, TypeError, ValueError: a key is missing or has an invalid value.
    """
    padding: Padding | None = None
    border = content.get("border")
    if border is not None:
        size, pixel = border["size_hw"], border["pixel"]
        padding = Padding(None if size is None else (int(size[0]), int(size[1])),
                          int(border["divisor"]), bool(border["square"]),
                          (int(pixel[0]), int(pixel[1]), int(pixel[2])))
    scale = content["scale"]
    resize_spec = ResizeSpec((int(scale[0]), int(scale[1])), int(content["divisor"]),
                             str(content["interpolation"]), padding)
    sides = [*resize_spec.scale, resize_spec.divisor]
    if padding is not None:
        sides += [padding.divisor, *(padding.size_hw or ())]
    if min(sides) < 1 or resize_spec.interpolation not in INTERPOLATIONS:
        raise ValueError(f"sides {sides}, interpolation {resize_spec.interpolation!r}")
    if padding is not None and not all(0 <= value <= 255 for value in padding.pad_value):
        raise ValueError(f"a pad value of {padding.pad_value}")
    return resize_spec


def resize_spec_to_dict(resize_spec: ResizeSpec) -> dict[str, Any]:
    """The entry of a manifest; its keys are fixed by files already written."""
    padding = resize_spec.padding
    border = None if padding is None else {
        "size_hw": padding.size_hw, "divisor": padding.divisor, "square": padding.square,
        "pixel": padding.pad_value}
    return {"scale": resize_spec.scale, "divisor": resize_spec.divisor,
            "interpolation": resize_spec.interpolation, "border": border}


def resize_spec_from_pipeline(pipeline: Sequence[Mapping[str, Any]], divisor: int) -> ResizeSpec:
    """The resize of a test pipeline.

    Args:
        pipeline: its steps, as in a config.
        divisor: the data preprocessor's ``pad_size_divisor``.

    Raises:
        ExportError: there is no resize that keeps the aspect ratio, or another step that is not
            supported.
    """
    resize: Mapping[str, Any] | None = None
    padding: Padding | None = None
    for step in pipeline:
        name = str(step.get("type", "")).rsplit(".", 1)[-1]
        if name == "Resize" and resize is None and padding is None:
            resize = step
        elif name == "Pad" and padding is None:
            padding = _padding_from_step(step)
        elif not (name.startswith(("Load", "Pack")) or name == "FilterAnnotations"):
            raise ExportError(f"the test pipeline's step {name}",
                              expected="LoadImage, one Resize, one Pad after it and "
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
    return ResizeSpec(scale, divisor, interpolation, padding)


def _padding_from_step(step: Mapping[str, Any]) -> Padding:
    if step.get("padding_mode", "constant") != "constant":
        raise ExportError("the test pipeline's Pad.padding_mode", got=step["padding_mode"],
                          expected="constant")
    value = step.get("pad_val", 0)
    value = value.get("img", 0) if isinstance(value, Mapping) else value
    # Colors of pipelines are BGR, sizes are (width, height).
    blue, green, red = value if isinstance(value, (tuple, list)) else (value,) * 3
    size = step.get("size")
    return Padding(
        size_hw=None if size is None else (int(size[1]), int(size[0])),
        divisor=int(step.get("size_divisor") or 1),
        square=bool(step.get("pad_to_square", False)),
        pad_value=(int(red), int(green), int(blue)),
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def _round_up(side: int, divisor: int) -> int:
    return -(-side // divisor) * divisor
