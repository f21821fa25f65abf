"""Class weights of a loss: given in the config, or from the number of images of each class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from detkit.errors import ConfigError
from detkit.models.validation import check_rate, is_count, is_number


def check_class_weight(owner: str, class_weight: object) -> Tensor | None:
    """The class weights of a config as (K,) float32; None stays None.

    Raises:
        ConfigError: not a list of numbers >= 0, or all are 0.
    """
    if class_weight is None:
        return None
    weights = class_weight.tolist() if isinstance(class_weight, Tensor) else class_weight
    valid = isinstance(weights, (list, tuple)) and any(weights) and all(
        is_number(weight) and weight >= 0 for weight in weights
    )
    if not valid:
        raise ConfigError(f"{owner}: class_weight", got=repr(weights),
                          expected="a list of numbers from 0, one for each class, not all 0")
    return torch.tensor(weights, dtype=torch.float32)


def check_weight_count(owner: str, weights: Tensor | None, num_classes: int) -> None:
    """Raise ConfigError unless ``weights`` is None or has ``num_classes`` entries."""
    if weights is not None and len(weights) != num_classes:
        raise ConfigError(f"{owner}: class_weight", got=len(weights),
                          expected=f"{num_classes}, one for each class of the head")


def effective_number_weights(counts: Sequence[int], beta: float) -> list[float]:
    """Class weights by the effective number of images: the rarer a class, the larger.

    The effective number of n images is (1 - beta**n) / (1 - beta). The weight is its inverse,
    normalized so that the weights sum to K. A class without images has weight 0.

    Args:
        counts: number of images of each of the K classes, >= 0.
        beta: in [0, 1). 0 gives equal weights; towards 1 the weights become inverse to the counts.

    Raises:
        ConfigError: invalid counts or beta, or no images at all.

    Source: arXiv 1901.05555, eq. 2 and section 4.
    """
    check_rate("ClassBalancedLoss", "beta", beta)
    valid = isinstance(counts, (list, tuple)) and all(is_count(count, 0) for count in counts)
    if not valid or not any(counts):
        raise ConfigError("ClassBalancedLoss: class_counts", got=repr(counts),
                          expected="whole numbers from 0, one for each class, not all 0")
    weights = [(1 - beta) / (1 - beta**count) if count else 0.0 for count in counts]
    return [weight * len(weights) / sum(weights) for weight in weights]
