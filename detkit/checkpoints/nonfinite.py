"""Finds tensors with NaN or infinity, in models and checkpoints, with one device sync."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from detkit.errors import WeightsError

# Keys of a checkpoint that must be finite. Its log may hold NaN, such as an undefined accuracy.
_CHECKED_KEYS = ("state_dict", "ema_state_dict", "optimizer")
# Buffers that must be finite. Others may hold infinity, such as the initial value of a minimum.
_NORM_STATISTICS = ("running_mean", "running_var")
_MAX_SHOWN = 3


def nonfinite_names(named_tensors: Iterable[tuple[str, Any]]) -> list[str]:
    """The names of the floating point tensors with NaN or infinity, in order; may be empty.

    Args:
        named_tensors: names and tensors of any shape, dtype and device. Values that are not
            floating point tensors, and empty tensors, are skipped.
    """
    tensors = [(name, value.detach()) for name, value in named_tensors
               if isinstance(value, Tensor) and value.is_floating_point() and value.numel()
               and value.layout == torch.strided]
    # One number for all tensors, and only if it is not finite one for each. Unlike a sum of
    # squares, the largest magnitude is finite for every finite tensor.
    if not tensors or bool(get_total_norm([t for _, t in tensors], float("inf")).isfinite()):
        return []
    return [name for name, tensor in tensors if not bool(tensor.isfinite().all())]


def shorten_names(names: list[str]) -> str:
    """The first names, and the number of the others."""
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return ", ".join(names[:_MAX_SHOWN]) + more


def named_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The tensors of ``model`` that must be finite: parameters and normalization statistics.

    Shared tensors come once for each of their names, as in a state dict.
    """
    yield from model.named_parameters(remove_duplicate=False)
    for name, buffer in model.named_buffers(remove_duplicate=False):
        if name.endswith(_NORM_STATISTICS):
            yield name, buffer


def select_checked_weights(
    checkpoint: Mapping[str, Any], model: nn.Module, revise_key: Callable[[str], str] = str
) -> dict[str, Any]:
    """The values of a checkpoint that must be finite: weights of ``model`` and optimizer state.

    Args:
        checkpoint: with ``state_dict``, and maybe ``ema_state_dict`` and ``optimizer``.
        model: the model, without a distributed wrapper.
        revise_key: maps the name of a tensor in the file to its name in the model.
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
    """Check that no weight is NaN or infinite.

    Args:
        weights: names and tensors; dicts and lists may be nested, as in an optimizer's state.
        origin: where they come from, for the message.

    Raises:
        WeightsError: a tensor is not finite; the message names it.
    """
    names = nonfinite_names(flatten_tensors(weights))
    if names:
        raise WeightsError(
            f"{origin} holds weights that are not finite (NaN or infinite)",
            got=shorten_names(names), expected="finite numbers",
            hint="use an earlier checkpoint, or start a new run with a lower learning rate",
        )


def flatten_tensors(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    """Every tensor in nested dicts and lists, with its dotted path."""
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from flatten_tensors(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from flatten_tensors(item, f"{path}.{index}" if path else str(index))
