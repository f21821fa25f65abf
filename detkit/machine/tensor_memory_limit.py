"""A limit on the memory of torch's tensors, checked before each operation.

A few characters in a file can request a tensor of any size. If it were allocated, the system could
kill this process or another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

_SMALL_NUMEL = 1 << 20


class TensorLimitError(ValueError):
    """An operation would exceed the limit on tensor memory or on the number of operations."""


class TensorMemoryLimit(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context manager that limits the memory of the tensors that torch creates on the CPU.

    Each operation runs on the meta device first, to get the size of its result. An operation that
    the meta device does not support is counted after it ran.

    Args:
        max_bytes: limit of all tensors that were created within the block and are in use.
        max_ops: limit of the number of operations; None for no limit.

    Raises:
        TensorLimitError: a limit would be exceeded.
    """

    def __init__(self, max_bytes: int, max_ops: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._max_bytes, self._max_ops = max_bytes, max_ops
        self._num_ops = self._bytes = 0
        self._live: dict[int, tuple[Any, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation if it does not exceed the limits."""
        kwargs = dict(kwargs or {})
        self._num_ops += 1
        if self._max_ops is not None and self._num_ops > self._max_ops:
            raise TensorLimitError(f"more than {self._max_ops:,} operations on tensors")
        inputs = _storages((args, kwargs))
        self._check_limit(_estimate_output_bytes(func, args, kwargs))
        outputs = func(*args, **kwargs)
        if func.is_view:  # an expanded view needs memory in the next operation
            for item in _leaves(outputs):
                if isinstance(item, Tensor) and item.device.type == "cpu":
                    self._check_limit(item.nbytes)
        for key, storage in _storages(outputs).items():
            if key not in inputs and key not in self._live:
                self._live[key] = _weak(storage), storage.nbytes()
                self._bytes += storage.nbytes()
        self._check_limit(0)
        return outputs

    def _check_limit(self, nbytes: int) -> None:
        if self._bytes + nbytes <= self._max_bytes:
            return
        self._live = {key: item for key, item in self._live.items() if not item[0].expired()}
        self._bytes = sum(size for _, size in self._live.values())
        if self._bytes + nbytes > self._max_bytes:
            raise TensorLimitError(f"tensors of {self._bytes + nbytes:,} bytes, expected at most "
                                   f"{self._max_bytes:,}")


# Any, because the class has no type annotations.
_weak: Any = StorageWeakRef


def _storages(value: Any) -> dict[int, torch.UntypedStorage]:
    """The storages of the CPU tensors in ``value``, by their id."""
    storages = (
        item.untyped_storage()
        for item in _leaves(value)
        if isinstance(item, Tensor) and item.device.type == "cpu" and item.layout == torch.strided)
    return {storage._cdata: storage for storage in storages}


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, dict):
        yield from _leaves(list(value.values()))
    else:
        yield value


def _estimate_output_bytes(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Bytes of the tensors that an operation will create; 0 if small or unknown."""
    if func.is_view or func._schema.is_mutable or _is_small((args, kwargs)):
        return 0
    device = kwargs.get("device")
    if device is not None and torch.device(device).type != "cpu":
        return 0
    meta_args, meta_kwargs = tree_map(_to_meta, (tuple(args), dict(kwargs)))
    if any(argument.name == "device" for argument in func._schema.arguments):
        meta_kwargs["device"] = torch.device("meta")
    try:
        outputs = func(*meta_args, **meta_kwargs)
    except Exception:  # noqa: B902 - the meta device does not support every operation
        return 0
    return sum(item.untyped_storage().nbytes() for item in _leaves(outputs)
               if isinstance(item, Tensor) and item.device.type == "meta")


def _is_small(inputs: Any) -> bool:
    """Whether no operation on these shapes and numbers gives a large result."""
    upper_bound = 16.0
    for item in _leaves(inputs):
        if isinstance(item, Tensor):
            if item.device.type == "meta":
                return True
            upper_bound *= prod(max(length, 1) for length in item.shape)
        elif isinstance(item, (int, float)) and not isinstance(item, bool):
            size = abs(float(item))
            upper_bound *= (1 + max(size, 1 / size if 0 < size < 1 else 0)) ** 2
    return upper_bound <= _SMALL_NUMEL


def _to_meta(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
