"""The first step of a classification pipeline: read an image file, or a crop, as a PIL image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mmcv.transforms import BaseTransform
from PIL import Image

from detkit.data.images.read_image import read_image
from detkit.errors import ConfigError, DataError
from detkit.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadClsImage(BaseTransform):  # type: ignore[misc]
    """Read ``results['img_path']`` upright, and crop it to ``results['box_xyxy']`` if set.

    Sets ``img``, a PIL image in RGB; ``ori_shape``, (H, W) of the upright image in the file; and
    ``img_shape``, (H, W) of ``img``. The box, four numbers in pixels of the upright image, is
    enlarged by ``context``, rounded outwards to whole pixels and clipped to the image.

    Args:
        context: margin added on each of the four sides of a box, as a fraction of its width or
            height; 0 crops at the box. Without effect on images without a box.

    Raises:
        ConfigError: ``context`` is not a number, negative or not finite.
        DataError: the file is missing or cannot be decoded, or the box has no area or no pixel
            inside of the image.
    """

    def __init__(self, context: float = 0.0) -> None:
        if not isinstance(context, (int, float)) or not 0 <= context < math.inf:
            raise ConfigError("LoadClsImage: context", got=repr(context),
                              expected="a fraction of the box size, at least 0")
        self.context = float(context)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the image and add it to ``results``."""
        path = results["img_path"]
        pixels = read_image(path)
        height, width = pixels.shape[:2]
        if results.get("box_xyxy") is not None:
            left, top, right, bottom = self._crop_window(results["box_xyxy"], width, height, path)
            image = Image.fromarray(pixels[top:bottom, left:right])
        else:
            image = Image.fromarray(pixels)
        results["img"] = image
        results["ori_shape"] = (height, width)
        results["img_shape"] = (image.height, image.width)
        return results

    def _crop_window(
        self, box: Sequence[float], width: int, height: int, path: object
    ) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the crop in whole pixels."""
        left, top, right, bottom = (float(edge) for edge in box)
        description = f"{path}: the box ({left:g}, {top:g}, {right:g}, {bottom:g})"
        # Comparisons with nan are False, so that a box with nan is rejected, too.
        if not (-math.inf < left < right < math.inf and -math.inf < top < bottom < math.inf):
            raise DataError(f"{description} has no area", expected="left < right and top < bottom",
                            hint="correct or remove the box")
        margin_x, margin_y = self.context * (right - left), self.context * (bottom - top)
        window = (max(0, math.floor(left - margin_x)), max(0, math.floor(top - margin_y)),
                  min(width, math.ceil(right + margin_x)),
                  min(height, math.ceil(bottom + margin_y)))
        if window[0] >= window[2] or window[1] >= window[3]:
            raise DataError(f"{description} has no pixel inside of the image",
                            expected=f"a box within {width} x {height} pixels",
                            hint="correct or remove the box")
        return window

    def __repr__(self) -> str:
        return f"{type(self).__name__}(context={self.context:g})"
