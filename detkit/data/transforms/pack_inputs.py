"""The last step of a classifier's pipeline: a picture and its label, as the model takes them."""

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
from detkit.structures.data_sample import ClassSample

META_KEYS = ("sample_idx", "img_path", "ori_shape", "img_shape", "box_xyxy")


@TRANSFORMS.register_module()
class PackClassInputs(BaseTransform):  # type: ignore[misc]
    """Turn ``results`` into what a classifier's data preprocessor takes.

    Gives ``inputs``, (3, H, W) uint8, RGB, and ``data_samples``, a ClassSample with ``gt_label``
    where ``results`` have one, and the metainfo that ``meta_keys`` name.

    Args:
        meta_keys: what of ``results`` goes with the sample; names that are not there are left out.

    Raises:
        ConfigError: ``results['img']`` is neither a PIL picture in RGB nor (3, H, W) uint8.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        self.meta_keys = (meta_keys,) if isinstance(meta_keys, str) else tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack ``results``."""
        sample = ClassSample(metainfo={key: results[key] for key in self.meta_keys
                                       if key in results})
        if results.get("gt_label") is not None:
            sample.gt_label = torch.tensor(int(results["gt_label"]), dtype=torch.int64)
        return {"inputs": _as_tensor(results["img"]), "data_samples": sample}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(meta_keys={self.meta_keys})"


def _as_tensor(picture: Any) -> Tensor:
    """(3, H, W) uint8 of its own memory, RGB."""
    if isinstance(picture, Image.Image) and picture.mode == "RGB":
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
    if (isinstance(picture, Tensor) and picture.dtype == torch.uint8 and picture.ndim == 3
            and picture.shape[0] == 3):
        return picture.contiguous()
    shape = getattr(picture, "shape", getattr(picture, "size", None))
    raise ConfigError(
        "PackClassInputs: the pipeline ends with another kind of picture",
        got=f"{type(picture).__name__} {getattr(picture, 'mode', getattr(picture, 'dtype', ''))} "
            f"{'' if shape is None else tuple(shape)}",
        expected="a PIL picture in RGB, or a uint8 tensor (3, H, W)",
        do="begin with LoadPicture and use the torchvision/... transforms between")
