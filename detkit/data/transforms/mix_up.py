"""mmdet's mixup of two images, from the dataset or from a cache of the last ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet.datasets import transforms as mmdet_transforms

from detkit.errors import ConfigError
from detkit.registry import TRANSFORMS


class _MixUpMixin:
    """Flips with the probability ``flip_ratio``, not with 1 minus it; float images stay float."""

    flip_ratio: float

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # mmdet flips if a random number is above this.
        self.flip_ratio = 1 - self.flip_ratio

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mix ``results`` and another image."""
        dtype = results["img"].dtype
        mixed: dict[str, Any] = super().transform(results)  # type: ignore[misc]
        mixed["img"] = mixed["img"].astype(dtype, copy=False)
        return mixed


@TRANSFORMS.register_module()
class MixUp(_MixUpMixin, mmdet_transforms.MixUp):  # type: ignore[misc]
    """Average an image and another one of the dataset, and keep the boxes of both.

    mmdet's transform of the same name, a step of a MultiImageMixDataset, with three differences:
    it can be left out at random, ``flip_ratio`` is the probability of a flip (mmdet flips with 1
    minus it), and float images stay float.

    Args:
        prob: of mixing.
        **kwargs: those of mmdet's: img_scale, ratio_range, flip_ratio, pad_val, max_iters and
            bbox_clip_border.

    Raises:
        ConfigError: ``prob`` is not in 0..1.

    Source: YOLOX (arXiv 2107.08430), mixup (arXiv 1710.09412).
    """

    def __init__(self, prob: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= prob <= 1:
            raise ConfigError("MixUp: prob", got=prob, expected="0 to 1")
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mix ``results`` and ``results['mix_results'][0]``."""
        return super().transform(results) if np.random.random() < self.prob else results


@TRANSFORMS.register_module()
class CachedMixUp(_MixUpMixin, mmdet_transforms.CachedMixUp):  # type: ignore[misc]
    """mmdet's mixup with an image of a cache, with ``flip_ratio`` and types as in `MixUp`.

    The cache has the last images of the process and is not in checkpoints: a resumed run, and one
    with another ``num_workers``, mixes other images. `MixUp` after `CachedSteps` costs about the
    same and does not depend on them.
    """
