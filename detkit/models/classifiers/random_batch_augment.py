"""MixUp and CutMix: pictures of a batch mixed with each other, and their classes with them.

Legend: B pictures in the batch, K classes.
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
    """A transform of torchvision's over a batch and the shares of classes in it."""

    transform: type

    def __init__(self, alpha: float = 1.0) -> None:
        check_positive(type(self).__name__, "alpha", alpha)
        # Numbers even where the model is built on the meta device.
        with torch.device("cpu"):
            self._transform = self.transform(alpha=alpha)

    def __call__(self, inputs: Tensor, soft_targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mix each picture with the one before it, the first with the last.

        Args:
            inputs: (B, C, H, W) float.
            soft_targets: (B, K) float, of each class in each picture.

        Returns:
            both, mixed, in new tensors. A batch of one is mixed with itself: nothing changes.
        """
        if not len(inputs):
            return inputs, soft_targets
        mixed, soft_targets = self._transform(inputs, soft_targets)
        return mixed, soft_targets


@MODELS.register_module()
class MixUp(_BatchTransform):
    """Blend two pictures of a batch, by a share drawn for the whole batch.

    Args:
        alpha: both parameters of the Beta distribution that the share is drawn from, above 0.

    Raises:
        ConfigError: an alpha that cannot be.

    Source: arXiv 1710.09412, by torchvision's transform of this name.
    """

    transform = v2.MixUp


@MODELS.register_module()
class CutMix(_BatchTransform):
    """Put a rectangle of one picture of a batch into another, the same for the whole batch.

    Args:
        alpha: both parameters of the Beta distribution that the area is drawn from, above 0.

    Raises:
        ConfigError: an alpha that cannot be.

    Source: arXiv 1905.04899, by torchvision's transform of this name.
    """

    transform = v2.CutMix


class RandomBatchAugment:
    """One of several ways to mix, drawn for each batch from torch's global generator.

    Args:
        augments: configs of the ways, at least one.
        probs: the share of batches for each, together at most 1; the rest stays as it is. None
            gives equal shares that leave no rest.

    Raises:
        ConfigError: no way, or shares that cannot be.
    """

    def __init__(
        self,
        augments: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        probs: Sequence[float] | None = None,
    ) -> None:
        ways = [augments] if isinstance(augments, Mapping) else augments
        if not isinstance(ways, (list, tuple)) or not ways:
            raise ConfigError("model.train_cfg.augments", got=repr(augments),
                              expected="a list such as [dict(type='MixUp', alpha=0.8)]")
        self.augments = [
            build_module("model.train_cfg.augments", augment, "MixUp") for augment in ways
        ]
        self.probs = _check_probs(probs, len(ways))

    @classmethod
    def from_train_cfg(cls, train_cfg: Mapping[str, Any] | None) -> RandomBatchAugment | None:
        """What ``train_cfg`` of a classifier asks for; None where it asks for nothing.

        Raises:
            ConfigError: a key that is not known, or what the class refuses.
        """
        if not train_cfg:
            return None
        if not isinstance(train_cfg, Mapping):
            raise ConfigError("model.train_cfg", got=repr(train_cfg),
                              expected="a dict such as dict(augments=[dict(type='MixUp')])")
        unknown = [key for key in train_cfg if key not in _KEYS]
        if unknown:
            raise ConfigError(f"model.train_cfg: '{unknown[0]}' is not known to a classifier",
                              expected=f"some of {', '.join(_KEYS)}")
        if not train_cfg.get("augments"):
            if train_cfg.get("probs"):
                raise ConfigError("model.train_cfg.probs without augments", got=train_cfg["probs"])
            return None
        return cls(train_cfg["augments"], train_cfg.get("probs"))

    def __call__(self, inputs: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """Mix a batch, or leave it.

        Args:
            inputs: (B, C, H, W) float. B may be 0.
            labels: (B,) integer, each of a class.
            num_classes: K.

        Returns:
            the pictures, and (B, K) float32 shares of classes, each row summing to 1; where
            nothing is drawn, what was given.
        """
        draw = float(torch.rand((), device="cpu"))
        for augment, prob in zip(self.augments, self.probs):
            if draw < prob:
                soft_targets = torch.nn.functional.one_hot(labels, num_classes).float()
                mixed: tuple[Tensor, Tensor] = augment(inputs, soft_targets)
                return mixed
            draw -= prob
        return inputs, labels


def _check_probs(probs: Sequence[float] | None, ways: int) -> tuple[float, ...]:
    if probs is None:
        # The last takes what rounding leaves, so that no batch is left out.
        return (*(1 / ways for _ in range(ways - 1)), 1.0)
    valid = isinstance(probs, (list, tuple)) and len(probs) == ways and all(
        is_number(prob) and prob >= 0 for prob in probs
    )
    if not valid or sum(probs) > 1 + 1e-9:
        raise ConfigError("model.train_cfg.probs", got=repr(probs),
                          expected=f"a list of {ways} numbers from 0, the share of the batches "
                          "for each of augments, together at most 1")
    return tuple(float(prob) for prob in probs)
