"""The first step of a detection pipeline: read an image file into mmdet's results dict."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from detkit.data.images.read_image import read_image
from detkit.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):  # type: ignore[misc]
    """Read ``results['img_path']`` upright, in mmdet's channel order.

    Sets ``img``, (H, W, 3) BGR, uint8 or float32 0..255; ``img_shape`` and ``ori_shape``,
    both (H, W).

    Args:
        to_float32: give float32 instead of uint8.

    Raises:
        DataError: the file is missing or cannot be decoded.
    """

    def __init__(self, to_float32: bool = False) -> None:
        self.to_float32 = to_float32

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the image and add it to ``results``."""
        image = np.ascontiguousarray(read_image(results["img_path"])[..., ::-1])
        results["img"] = image.astype(np.float32) if self.to_float32 else image
        results["img_shape"] = image.shape[:2]
        results["ori_shape"] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(to_float32={self.to_float32})"
