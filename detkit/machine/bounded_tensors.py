"""A bound on the memory that the operations of torch take, held before each is done.

A file may ask for tensors of any size in a few letters. Where one that is too large is made anyway,
the system ends the process, or another one.
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

_FEW = 1 << 20


class TooMuchError(ValueError):
    """More tensors are asked for than what they are asked for can need."""


class BoundedTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within the block, torch makes no tensors of more than so many bytes on the CPU.

    Each operation is done on the meta device first, where it has a shape and no content; one that
    cannot be is counted when it is done.

    Args:
        most_bytes: of all tensors that are made within the block and still in use.
        most_calls: of operations; None for any number.

    Raises:
        TooMuchError: there would be more.
    """

    def __init__(self, most_bytes: int, most_calls: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._most_bytes, self._most_calls = most_bytes, most_calls
        self._calls = self._bytes = 0
        self._live: dict[int, tuple[Any, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Do the operation, if it keeps within the bounds."""
        kwargs = dict(kwargs or {})
        self._calls += 1
        if self._most_calls is not None and self._calls > self._most_calls:
            raise TooMuchError(f"more than {self._most_calls:,} operations on tensors")
        given = _storages((args, kwargs))
        self._make_room(_bytes_to_come(func, args, kwargs))
        found = func(*args, **kwargs)
        if func.is_view:  # It costs nothing until the next operation walks through it.
            for one in _leaves(found):
                if isinstance(one, Tensor) and one.device.type == "cpu":
                    self._make_room(one.nbytes)
        for key, storage in _storages(found).items():
            if key not in given and key not in self._live:
                self._live[key] = _weak(storage), storage.nbytes()
                self._bytes += storage.nbytes()
        self._make_room(0)
        return found

    def _make_room(self, nbytes: int) -> None:
        if self._bytes + nbytes <= self._most_bytes:
            return
        self._live = {key: one for key, one in self._live.items() if not one[0].expired()}
        self._bytes = sum(size for _, size in self._live.values())
        if self._bytes + nbytes > self._most_bytes:
            raise TooMuchError(f"tensors of {self._bytes + nbytes:,} bytes, at most "
                               f"{self._most_bytes:,} are made")


# To mypy a class without types.
_weak: Any = StorageWeakRef


def _storages(value: Any) -> dict[int, torch.UntypedStorage]:
    """The memory of each tensor on the CPU in ``value``, by its address in torch."""
    held = (one.untyped_storage() for one in _leaves(value)
            if isinstance(one, Tensor) and one.device.type == "cpu" and one.layout == torch.strided)
    return {storage._cdata: storage for storage in held}


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, dict):
        yield from _leaves(list(value.values()))
    else:
        yield value


def _bytes_to_come(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Bytes of the new tensors that an operation will give; 0 for few, or where nobody can say."""
    if func.is_view or func._schema.is_mutable or _are_few((args, kwargs)):
        return 0
    device = kwargs.get("device")
    if device is not None and torch.device(device).type != "cpu":
        return 0
    on_meta, more_on_meta = tree_map(_on_meta, (tuple(args), dict(kwargs)))
    if any(argument.name == "device" for argument in func._schema.arguments):
        more_on_meta["device"] = torch.device("meta")
    try:
        found = func(*on_meta, **more_on_meta)
    except Exception:  # noqa: B902 - of whatever torch cannot do without content
        return 0
    return sum(one.untyped_storage().nbytes() for one in _leaves(found)
               if isinstance(one, Tensor) and one.device.type == "meta")


def _are_few(given: Any) -> bool:
    """Whether no operation makes more than a little of these sides and numbers."""
    most = 16.0
    for one in _leaves(given):
        if isinstance(one, Tensor):
            if one.device.type == "meta":
                return True
            most *= prod(max(side, 1) for side in one.shape)
        elif isinstance(one, (int, float)) and not isinstance(one, bool):
            size = abs(float(one))
            most *= (1 + max(size, 1 / size if 0 < size < 1 else 0)) ** 2
    return most <= _FEW


def _on_meta(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
