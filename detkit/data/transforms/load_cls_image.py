"""The first step of a classifier's pipeline: an image file, or a box of one, into a PIL picture."""

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
    """Read ``results['img_path']`` as a person sees it, and cut out ``results['box_xyxy']`` if set.

    Sets ``img``, a PIL picture in RGB, (H, W); ``ori_shape``, (H, W) of the picture in the file;
    and ``img_shape``, (H, W) of ``img``. The box, four numbers in pixels of the picture in the
    file, is grown, widened to whole pixels and clipped to the picture, in this order.

    Args:
        context: what a box is grown by on each of its four sides, as a share of its width or
            height; 0 cuts along the box. Without effect on pictures that have no box.

    Raises:
        ConfigError: ``context`` is no number, negative or not finite.
        DataError: the file is missing or cannot be decoded, or the box has no area or no pixel
            inside the picture; the message holds the file and the box.
    """

    def __init__(self, context: float = 0.0) -> None:
        if not isinstance(context, (int, float)) or not 0 <= context < math.inf:
            raise ConfigError("LoadClsImage: context", got=repr(context),
                              expected="a share of the box's size, at least 0")
        self.context = float(context)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the picture that ``results`` names and add it to them."""
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
        """Left, top, right and bottom edge of the whole pixels to cut out."""
        left, top, right, bottom = (float(edge) for edge in box)
        description = f"{path}: the box ({left:g}, {top:g}, {right:g}, {bottom:g})"
        # A comparison with nan is false, so a box with one is refused here too.
        if not (-math.inf < left < right < math.inf and -math.inf < top < bottom < math.inf):
            raise DataError(f"{description} has no area", expected="left < right and top < bottom",
                            hint="mend the box or leave it out")
        margin_x, margin_y = self.context * (right - left), self.context * (bottom - top)
        window = (max(0, math.floor(left - margin_x)), max(0, math.floor(top - margin_y)),
                  min(width, math.ceil(right + margin_x)), min(height,
                                                               math.ceil(bottom + margin_y)))
        if window[0] >= window[2] or window[1] >= window[3]:
            raise DataError(f"{description} has no pixel inside the picture",
                            expected=f"a box within {width} x {height} pixels",
                            hint="mend the box or leave it out")
        return window

    def __repr__(self) -> str:
        return f"{type(self).__name__}(context={self.context:g})"
