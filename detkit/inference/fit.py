"""A picture onto a canvas of fixed size, resized as the config's test pipeline does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import ExportError

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class InputRule:
    """To which size a detector's pictures are brought.

    Args:
        scale: the longer and the shorter side, in pixels, that a picture may have at most; it is
            resized until it meets one of them.
        divisor: the sides of a canvas are multiples of it.
        interpolation: one of mmcv's words, 'bilinear' mostly.
    """

    scale: tuple[int, int]
    divisor: int = 1
    interpolation: str = "bilinear"

    def resized_hw(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a picture of ``image_hw`` after the resize.

        Source: agrees with mmcv's ``rescale_size`` and mmdet's ``Resize(keep_ratio=True)``.
        """
        factor = self._factor(image_hw)
        return max(1, int(image_hw[0] * factor + 0.5)), max(1, int(image_hw[1] * factor + 0.5))

    def canvas_for(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        """The smallest canvas (height, width) that holds the resized picture."""
        high, wide = self.resized_hw(image_hw)
        return _up(high, self.divisor), _up(wide, self.divisor)

    def _factor(self, image_hw: tuple[int, int]) -> float:
        long, short = max(self.scale), min(self.scale)
        return min(long / max(image_hw), short / min(image_hw))


@dataclass(frozen=True)
class Fitted:
    """A picture on its canvas.

    Args:
        canvas: (H, W, 3) uint8 RGB.
        valid_hw: height and width of the picture on it, at its top left.
        image_hw: height and width of the picture as it was given.
    """

    canvas: Image
    valid_hw: tuple[int, int]
    image_hw: tuple[int, int]

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Pixels of the canvas for one of the picture, across and down."""
        return self.valid_hw[1] / self.image_hw[1], self.valid_hw[0] / self.image_hw[0]


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
    canvas: Image = np.empty((*canvas_hw, 3), np.uint8)
    if (high, wide) == image_hw:
        canvas[:high, :wide] = image
    else:
        ways = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR,
                "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA,
                "lanczos": cv2.INTER_LANCZOS4}
        canvas[:high, :wide] = cv2.resize(image, (wide, high),
                                          interpolation=ways[rule.interpolation])
    canvas[high:] = 0
    canvas[:high, wide:] = 0
    return Fitted(canvas, (high, wide), image_hw)


def rule_of(pipeline: Sequence[Mapping[str, Any]], divisor: int) -> InputRule:
    """The rule that a test pipeline follows.

    Args:
        pipeline: its steps, as a config writes them.
        divisor: the data preprocessor's ``pad_size_divisor``.

    Raises:
        ExportError: there is no resize that keeps the ratio, or a step that a canvas cannot
            stand for.
    """
    scale: tuple[int, int] | None = None
    interpolation = "bilinear"
    for step in pipeline:
        name = str(step.get("type", "")).rsplit(".", 1)[-1]
        if name in ("Resize", "FixScaleResize"):
            wanted = step.get("scale")
            if not step.get("keep_ratio", False) or not _is_pair(wanted):
                raise ExportError("the test pipeline's Resize", got=dict(step),
                                  expected="scale=(long, short) and keep_ratio=True")
            scale = (int(wanted[0]), int(wanted[1]))  # type: ignore[index]
            interpolation = str(step.get("interpolation", "bilinear"))
        elif name == "Pad":
            divisor = max(divisor, int(step.get("size_divisor") or 1))
        elif not (name.startswith("Load") or name.startswith("Pack")
                  or name == "FilterAnnotations"):
            raise ExportError(f"the test pipeline's step {name}",
                              expected="LoadImage, Resize, Pad and PackDetInputs only")
    if scale is None:
        raise ExportError("the test pipeline has no Resize",
                          expected="Resize with scale=(long, short) and keep_ratio=True")
    return InputRule(scale, divisor, interpolation)


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def _up(side: int, divisor: int) -> int:
    return -(-side // divisor) * divisor
