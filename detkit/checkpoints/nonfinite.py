"""Which tensors hold NaN or infinity, found with one wait for the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from detkit.errors import WeightsError

# What of a checkpoint must be finite; its log may hold the NaN of an accuracy of nothing.
_CHECKED_KEYS = ("state_dict", "ema_state_dict", "optimizer")
# Of a model's buffers. Others may hold infinity in health, such as the smallest value so far.
_NORM_STATISTICS = ("running_mean", "running_var")
_MAX_SHOWN = 3


def nonfinite_names(named_tensors: Iterable[tuple[str, Any]]) -> list[str]:
    """The names of the floating tensors that hold NaN or infinity, in order; empty when none do.

    Args:
        named_tensors: names with tensors of any shape, dtype and device; what is no floating
            tensor, and what has no element, is passed over.
    """
    tensors = [(name, value.detach()) for name, value in named_tensors
               if isinstance(value, Tensor) and value.is_floating_point() and value.numel()
               and value.layout == torch.strided]
    # One number for all of them, and only where it is not finite each tensor's own. The largest
    # magnitude, unlike a sum of squares, is finite for every finite tensor.
    if not tensors or bool(get_total_norm([t for _, t in tensors], float("inf")).isfinite()):
        return []
    return [name for name, tensor in tensors if not bool(tensor.isfinite().all())]


def shorten_names(names: list[str]) -> str:
    """The first names and how many more there are."""
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return ", ".join(names[:_MAX_SHOWN]) + more


def named_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What of ``model`` must be finite: its parameters and the statistics of its normalization.

    Those that stand in several places come once for each, as in a state dict.
    """
    yield from model.named_parameters(remove_duplicate=False)
    for name, buffer in model.named_buffers(remove_duplicate=False):
        if name.endswith(_NORM_STATISTICS):
            yield name, buffer


def select_checked_weights(
    checkpoint: Mapping[str, Any], model: nn.Module, revise_key: Callable[[str], str] = str
) -> dict[str, Any]:
    """What of a checkpoint must be finite: the weights of ``model`` in it, the optimizer's state.

    Args:
        checkpoint: ``state_dict`` and, where there are any, ``ema_state_dict`` and ``optimizer``.
        model: not wrapped.
        revise_key: the model's name of a tensor for its name in the file.
    """
    names = {name for name, _ in named_weights(model)}
    selected: dict[str, Any] = {}
    for key in _CHECKED_KEYS:
        value = checkpoint.get(key)
        if key != "optimizer" and isinstance(value, Mapping):
            value = {
                name: tensor
                for name, tensor in value.items()
                if revise_key(str(name).removeprefix("module.")) in names
            }
        selected[key] = value
    return selected


def ensure_finite_weights(weights: Mapping[str, Any], origin: str) -> None:
    """Refuse weights in which a number is NaN or infinite.

    Args:
        weights: names and tensors, nested dicts and lists (an optimizer's state) included.
        origin: where they come from, for the message.

    Raises:
        WeightsError: a tensor is not finite; the message names it.
    """
    names = nonfinite_names(flatten_tensors(weights))
    if names:
        raise WeightsError(
            f"{origin} holds weights that are not finite (NaN or infinite)",
            got=shorten_names(names), expected="finite numbers",
            hint="use an earlier checkpoint, or train anew with a lower learning rate",
        )


def flatten_tensors(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    """Every tensor in nested dicts and lists, named by the dotted path to it."""
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from flatten_tensors(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from flatten_tensors(item, f"{path}.{index}" if path else str(index))
