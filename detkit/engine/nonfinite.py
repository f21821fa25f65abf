"""Which tensors hold NaN or infinity, found with one wait for the device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from detkit.errors import WeightsError

# What of a checkpoint must be finite; its log may hold the NaN of an accuracy of nothing.
CHECKED_KEYS = ("state_dict", "ema_state_dict", "optimizer")
_SHOWN = 3


def nonfinite_names(named: Iterable[tuple[str, Any]]) -> list[str]:
    """The names of the floating tensors that hold NaN or infinity, in order; empty when none do.

    Args:
        named: names with tensors of any shape, dtype and device; what is no floating tensor, and
            what has no element, is passed over.
    """
    tensors = [(name, value.detach()) for name, value in named
               if isinstance(value, Tensor) and value.is_floating_point() and value.numel()
               and value.layout == torch.strided]
    # One number for all of them, and only where it is not finite each tensor's own. The largest
    # magnitude, unlike a sum of squares, is finite for every finite tensor.
    if not tensors or bool(get_total_norm([t for _, t in tensors], float("inf")).isfinite()):
        return []
    return [name for name, tensor in tensors if not bool(tensor.isfinite().all())]


def shorten_names(names: list[str]) -> str:
    """The first names and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def ensure_finite_weights(weights: Mapping[str, Any], origin: str) -> None:
    """Refuse a state dict in which a number is NaN or infinite.

    Args:
        weights: names and tensors, nested dicts and lists (an optimizer's state) included.
        origin: where they come from, for the message.

    Raises:
        WeightsError: a tensor is not finite; the message names it.
    """
    names = nonfinite_names(flattened(weights))
    if names:
        raise WeightsError(
            f"{origin} holds weights that are not finite (NaN or infinite)",
            got=shorten_names(names), expected="finite numbers",
            do="use an earlier checkpoint, or train anew with a lower learning rate",
        )


def flattened(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    """Every tensor in nested dicts and lists, named by the dotted path to it."""
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from flattened(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from flattened(item, f"{path}.{index}" if path else str(index))
