"""MixUp and CutMix: batch augmentation that mixes images and their labels.

Legend: B images in the batch, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from detkit.errors import ConfigError
from detkit.models.build import build_module
from detkit.models.validation import check_positive, is_number
from detkit.registry import MODELS

_KEYS = ("augments", "probs")


class _BatchTransform:
    """A torchvision transform of a batch of images and their soft targets."""

    transform: type

    def __init__(self, alpha: float = 1.0) -> None:
        check_positive(type(self).__name__, "alpha", alpha)
        # On the CPU even where the model is built on the meta device.
        with torch.device("cpu"):
            self._transform = self.transform(alpha=alpha)

    def __call__(self, inputs: Tensor, soft_targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mix each image with the previous one, the first with the last.

        Args:
            inputs: (B, C, H, W) float.
            soft_targets: (B, K) float, class probabilities.

        Returns:
            both, mixed, in new tensors. A batch of one image is unchanged.
        """
        if not len(inputs):
            return inputs, soft_targets
        mixed, soft_targets = self._transform(inputs, soft_targets)
        return mixed, soft_targets


@MODELS.register_module()
class MixUp(_BatchTransform):
    """Blend pairs of images with a ratio drawn once for the batch.

    Args:
        alpha: both parameters of the Beta distribution of the ratio, above 0.

    Raises:
        ConfigError: an alpha that cannot be.

    Source: arXiv 1710.09412, by torchvision's transform of this name.
    """

    transform = v2.MixUp


@MODELS.register_module()
class CutMix(_BatchTransform):
    """Paste a rectangle of one image into another, the same rectangle for the whole batch.

    Args:
        alpha: both parameters of the Beta distribution of the area, above 0.

    Raises:
        ConfigError: an alpha that cannot be.

    Source: arXiv 1905.04899, by torchvision's transform of this name.
    """

    transform = v2.CutMix


class RandomBatchAugment:
    """Apply one of several batch augmentations, drawn for each batch from torch's generator.

    Args:
        augments: configs of the augmentations, at least one.
        probs: probability of each, in sum at most 1; the remaining batches are not changed. None
            means equal probabilities that sum to 1.

    Raises:
        ConfigError: no augmentation, or invalid probabilities.
    """

    def __init__(
        self,
        augments: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        probs: Sequence[float] | None = None,
    ) -> None:
        augment_cfgs = [augments] if isinstance(augments, Mapping) else augments
        if not isinstance(augment_cfgs, (list, tuple)) or not augment_cfgs:
            raise ConfigError("model.train_cfg.augments", got=repr(augments),
                              expected="a list such as [dict(type='MixUp', alpha=0.8)]")
        self.augments = [
            build_module("model.train_cfg.augments", augment, "MixUp") for augment in augment_cfgs
        ]
        self.probs = _check_probs(probs, len(augment_cfgs))

    @classmethod
    def from_train_cfg(cls, train_cfg: Mapping[str, Any] | None) -> RandomBatchAugment | None:
        """Build it from a classifier's ``train_cfg``; None where that has no ``augments``.

        Raises:
            ConfigError: an unknown key, or an invalid value.
        """
        if not train_cfg:
            return None
        if not isinstance(train_cfg, Mapping):
            raise ConfigError("model.train_cfg", got=repr(train_cfg),
                              expected="a dict such as dict(augments=[dict(type='MixUp')])")
        unknown = [key for key in train_cfg if key not in _KEYS]
        if unknown:
            raise ConfigError(f"model.train_cfg: unknown key '{unknown[0]}'",
                              expected=f"some of {', '.join(_KEYS)}")
        if not train_cfg.get("augments"):
            if train_cfg.get("probs"):
                raise ConfigError("model.train_cfg.probs without augments", got=train_cfg["probs"])
            return None
        return cls(train_cfg["augments"], train_cfg.get("probs"))

    def __call__(self, inputs: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """Mix a batch, or return it unchanged.

        Args:
            inputs: (B, C, H, W) float. B may be 0.
            labels: (B,) integer, in 0..K-1.
            num_classes: K.

        Returns:
            the images and (B, K) float32 class probabilities, rows summing to 1; or the arguments
            where no augmentation is drawn.
        """
        draw = float(torch.rand((), device="cpu"))
        for augment, prob in zip(self.augments, self.probs):
            if draw < prob:
                soft_targets = torch.nn.functional.one_hot(labels, num_classes).float()
                mixed: tuple[Tensor, Tensor] = augment(inputs, soft_targets)
                return mixed
            draw -= prob
        return inputs, labels


def _check_probs(probs: Sequence[float] | None, num_augments: int) -> tuple[float, ...]:
    if probs is None:
        # 1.0 for the last, so that rounding leaves no batch unchanged.
        return (*(1 / num_augments for _ in range(num_augments - 1)), 1.0)
    valid = isinstance(probs, (list, tuple)) and len(probs) == num_augments and all(
        is_number(prob) and prob >= 0 for prob in probs
    )
    if not valid or sum(probs) > 1 + 1e-9:
        raise ConfigError("model.train_cfg.probs", got=repr(probs),
                          expected=f"a list of {num_augments} probabilities, one for each of "
                          "augments, in sum at most 1")
    return tuple(float(prob) for prob in probs)
