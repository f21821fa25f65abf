"""Checks of the loaded content of a checkpoint: nesting, number of values, dense tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from detkit.errors import WeightsError

_MAX_VALUES = 5_000_000
_MAX_DEPTH = 100
_MAX_NAME_LENGTH = 100  # characters of a name in a message
_REAL_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool,
                torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class MalformedCheckpointError(ValueError):
    """The content of a checkpoint is nested too deeply, cyclic, too large, or not dense."""


def check_content(content: Any) -> None:
    """Check that content has no cycle, limited depth and size, and dense tensors only.

    A pickle may contain one small list ten times in another list, that one ten times in the next,
    and so on: a small file then has 10 ** 30 values. A shared value is counted each time.

    Raises:
        MalformedCheckpointError: there is a cycle, a depth above 100, more than 5,000,000 values,
            or a tensor that is not dense.
    """
    _count_values(content, {}, 0)


def _count_values(value: Any, counts: dict[int, int | None], depth: int) -> int:
    """The number of values in ``value``, including itself; None in ``counts`` marks an open one."""
    if isinstance(value, Tensor):
        _check_tensor(value)
        return 1
    children = _children(value)
    if children is None:
        return 1
    if id(value) in counts:
        counted = counts[id(value)]
        if counted is None:
            raise MalformedCheckpointError("a container that contains itself")
        return counted
    if depth > _MAX_DEPTH:
        raise MalformedCheckpointError(f"containers nested more than {_MAX_DEPTH} deep")
    counts[id(value)] = None
    total = 1
    for item in children:
        total += _count_values(item, counts, depth + 1)
        if total > _MAX_VALUES:
            raise MalformedCheckpointError(f"more than {_MAX_VALUES:,} values")
    counts[id(value)] = total
    return total


def _children(value: Any) -> Iterable[Any] | None:
    """The items of a container; None for any other value."""
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, (list, tuple, set, frozenset)) else None


def _check_tensor(tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_nested:
        raise MalformedCheckpointError("a tensor that is not dense")


def check_state_dict(weights: Any, origin: str, key: str = "state_dict") -> None:
    """Check that a state dict maps names to tensors of real numbers.

    Args:
        weights: the value to check.
        origin: the file, for messages.
        key: the key of ``weights`` in the file.

    Raises:
        WeightsError: ``weights`` is not a dict, a key is not a string, or a value is not a tensor
            of real numbers; the message names the key.
    """
    if not isinstance(weights, Mapping):
        raise WeightsError(f"{origin}: {key}", got=f"a {type(weights).__name__}",
                           expected="a dict of names and tensors")
    for name, value in weights.items():
        if not isinstance(name, str):
            raise WeightsError(f"{origin}: a key of its {key}", got=repr(name)[:_MAX_NAME_LENGTH],
                               expected="the name of a tensor")
        if not isinstance(value, Tensor):
            raise WeightsError(f"{origin}: {key}['{name[:_MAX_NAME_LENGTH]}']",
                               got=f"a {type(value).__name__}", expected="a tensor")
        if value.dtype not in _REAL_DTYPES:
            raise WeightsError(f"{origin}: {key}['{name[:_MAX_NAME_LENGTH]}']",
                               got=f"a tensor of {value.dtype}",
                               expected="integers, or floats of 16 bits or more")
