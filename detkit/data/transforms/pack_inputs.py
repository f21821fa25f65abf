"""The last step of a classification pipeline: pack an image and its label for the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from PIL import Image
from torch import Tensor

from detkit.errors import ConfigError
from detkit.registry import TRANSFORMS
from detkit.structures.data_sample import DataSample

META_KEYS = ("sample_idx", "img_path", "ori_shape", "img_shape", "box_xyxy")


@TRANSFORMS.register_module()
class PackInputs(BaseTransform):  # type: ignore[misc]
    """Pack ``results`` for the data preprocessor of a classifier.

    Returns ``inputs``, (3, H, W) uint8, RGB, and ``data_samples``, a DataSample with ``gt_label``
    if ``results`` have one, and the metainfo of ``meta_keys``.

    Args:
        meta_keys: keys of ``results`` for the metainfo; missing keys are left out.

    Raises:
        ConfigError: ``results['img']`` is neither a PIL image in RGB nor (3, H, W) uint8.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        self.meta_keys = (meta_keys,) if isinstance(meta_keys, str) else tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack ``results``."""
        sample = DataSample(
            metainfo={key: results[key]
                      for key in self.meta_keys
                      if key in results})
        if results.get("gt_label") is not None:
            sample.gt_label = torch.tensor(int(results["gt_label"]), dtype=torch.int64)
        return {"inputs": _as_tensor(results["img"]), "data_samples": sample}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(meta_keys={self.meta_keys})"


def _as_tensor(image: Any) -> Tensor:
    """(3, H, W) uint8, RGB, contiguous; a copy of a PIL image."""
    if isinstance(image, Image.Image) and image.mode == "RGB":
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    if (isinstance(image, Tensor) and image.dtype == torch.uint8 and image.ndim == 3
            and image.shape[0] == 3):
        return image.contiguous()
    shape = getattr(image, "shape", getattr(image, "size", None))
    raise ConfigError(
        "PackInputs: the pipeline gives an unsupported type of image",
        got=f"{type(image).__name__} {getattr(image, 'mode', getattr(image, 'dtype', ''))} "
            f"{'' if shape is None else tuple(shape)}",
        expected="a PIL image in RGB, or a uint8 tensor (3, H, W)",
        hint="begin with LoadClsImage, followed by torchvision/... transforms")
