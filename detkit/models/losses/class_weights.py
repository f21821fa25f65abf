"""How much each class counts in a loss: given, or by how many pictures there are of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from detkit.errors import ConfigError
from detkit.models.validation import check_rate, is_count, is_number


def check_class_weight(owner: str, class_weight: object) -> Tensor | None:
    """Weights as a config gives them, (K,) float32; None stays None.

    Raises:
        ConfigError: they are no list of numbers from 0, or all are 0.
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
    """Raise ConfigError unless there are as many weights as classes, or none."""
    if weights is not None and len(weights) != num_classes:
        raise ConfigError(f"{owner}: weights of classes", got=len(weights),
                          expected=f"{num_classes}, one for each class of the head")


def effective_number_weights(counts: Sequence[int], beta: float) -> list[float]:
    """Weights of classes by the effective number of their pictures, the rarest heaviest.

    A class of n pictures has (1 - beta**n) / (1 - beta) effective ones; its weight is in inverse
    proportion, and all weights together are K. A class without a picture has weight 0.

    Args:
        counts: pictures of each of the K classes, from 0.
        beta: from 0, where all classes weigh alike, to below 1; towards 1 a class's weight
            becomes one over its count.

    Raises:
        ConfigError: counts or a beta that cannot be, or no picture at all.

    Source: arXiv 1901.05555, eq. 2 and section 4.
    """
    check_rate("ClassBalancedLoss", "beta", beta)
    valid = isinstance(counts, (list, tuple)) and all(is_count(count, 0) for count in counts)
    if not valid or not any(counts):
        raise ConfigError("ClassBalancedLoss: class_counts", got=repr(counts),
                          expected="whole numbers from 0, one for each class, not all 0")
    weights = [(1 - beta) / (1 - beta**count) if count else 0.0 for count in counts]
    return [weight * len(weights) / sum(weights) for weight in weights]
