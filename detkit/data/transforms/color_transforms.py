"""mmdet's color transforms that need bytes, for float images too."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet.datasets import transforms as mmdet_transforms

from detkit.registry import TRANSFORMS


class _BytesMixin:
    """Applies a transform to a float image as bytes; the result is float again.

    Images are float with ``to_float32`` and after PhotoMetricDistortion. mmdet's transforms fail
    there with an IndexError or TypeError, and YOLOXHSVRandomAug gives colors of up to 5,600.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Transform the image, with its values rounded and clipped to 0..255."""
        dtype = results["img"].dtype
        if dtype != np.uint8:
            results["img"] = np.clip(np.rint(results["img"]), 0, 255).astype(np.uint8)
        changed: dict[str, Any] = super().transform(results)  # type: ignore[misc]
        changed["img"] = changed["img"].astype(dtype, copy=False)
        return changed


@TRANSFORMS.register_module()
class AutoContrast(_BytesMixin, mmdet_transforms.AutoContrast):  # type: ignore[misc]
    """mmdet's `AutoContrast`, for float images too."""


@TRANSFORMS.register_module()
class Equalize(_BytesMixin, mmdet_transforms.Equalize):  # type: ignore[misc]
    """mmdet's `Equalize`, for float images too."""


@TRANSFORMS.register_module()
class Posterize(_BytesMixin, mmdet_transforms.Posterize):  # type: ignore[misc]
    """mmdet's `Posterize`, for float images too."""


@TRANSFORMS.register_module()
class YOLOXHSVRandomAug(_BytesMixin, mmdet_transforms.YOLOXHSVRandomAug):  # type: ignore[misc]
    """mmdet's `YOLOXHSVRandomAug`, for float images too."""
