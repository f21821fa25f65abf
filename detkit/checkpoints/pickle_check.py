"""Simulates the pickle of a checkpoint without executing it, and checks each call in it.

torch's ``weights_only`` loading executes no code, but calls the allowed functions with any
argument: a few bytes can allocate an array of 100 GB. So before torch loads a file, each call in
its pickle is compared with those that torch.save and mmengine write.
"""

from __future__ import annotations

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import IO, Any

import torch

_REBUILD = "torch._utils._rebuild_"
_DENSE_TENSORS = {_REBUILD + suffix for suffix in ("tensor", "tensor_v2", "tensor_v3")}
_OTHER_TENSORS = {
    _REBUILD + "sparse_tensor": "a sparse tensor",
    _REBUILD + "qtensor": "a quantized tensor",
    _REBUILD + "nested_tensor": "a nested tensor",
    _REBUILD + "meta_tensor_no_storage": "a tensor without content (device 'meta')",
    _REBUILD + "wrapper_subclass": "a tensor subclass",
}
_NUMPY = ("numpy._core.multiarray", "numpy.core.multiarray")
# Functions whose result is no larger than their arguments.
_ALLOWED_CALLS = {
    "collections.OrderedDict", "collections.Counter", "builtins.set", "builtins.complex",
    "builtins.getattr", "torch.Size", "torch.device", "numpy.dtype",
    "torch.serialization._get_layout",
    _REBUILD + "parameter", _REBUILD + "parameter_with_state",
    *(f"{module}.scalar" for module in _NUMPY),
}
_ALLOWED_CLASSES = {
    "mmengine.logging.history_buffer.HistoryBuffer", "argparse.Namespace",
    "torch.nn.parameter.Parameter"
}
# Limit of a tensor that is larger than its storage, as expand() makes it by a stride of 0.
_MAX_EXPANDED_BYTES = 1 << 24


class UnsafeCheckpointError(ValueError):
    """A pickle makes calls or tensors that a checkpoint does not need."""


class UnsafeGlobalError(UnsafeCheckpointError):
    """A pickle calls a function or class that is not allowed; the message is its name."""


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Storage:
    nbytes: int
    itemsize: int


@dataclass
class _PickleMachine:
    """The stack of a pickle; values that no check needs are None."""

    max_nbytes: int
    stack: list[Any] = field(default_factory=list)
    metastack: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    storage_nbytes: dict[str, int] = field(default_factory=dict)
    total_nbytes: int = 0

    def pop(self) -> Any:
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.metastack.pop()
        return items

    def mark(self, _: Any) -> None:
        self.metastack.append(self.stack)
        self.stack = []

    def name(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        if (module, name) in NAME_MAPPING:  # protocol 2 writes the names of Python 2
            module, name = NAME_MAPPING[module, name]
        self.stack.append(_Global(f"{IMPORT_MAPPING.get(module, module)}.{name}"))

    def push_tuple(self, count: int | None) -> None:
        if count is None:
            items = self.pop_mark()
        else:
            items = self.stack[-count:]
            del self.stack[-count:]
        self.stack.append(tuple(items))

    def call(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        self.stack.append(_check_call(function, arguments))

    def new(self, _: Any) -> None:
        self.pop()
        cls = self.pop()
        name = cls.name if isinstance(cls, _Global) else "an object that is not a class"
        if name not in _ALLOWED_CLASSES and not name.startswith(("numpy.dtypes.", "numpy.dtype[")):
            raise UnsafeGlobalError(name)
        self.stack.append(None)

    def storage(self, _: Any) -> None:
        """Push the requested storage; all storages together are no larger than the file."""
        persistent_id = self.pop()
        if not isinstance(persistent_id, tuple) or len(persistent_id) < 5 or not isinstance(
                persistent_id[1], _Global):
            self.stack.append(None)
            return
        numel, key = persistent_id[4], str(persistent_id[2])
        itemsize = _itemsize(persistent_id[1].name)
        if not isinstance(numel, int) or numel < 0:
            raise UnsafeCheckpointError("a tensor whose size is not a number")
        growth = max(numel * itemsize - self.storage_nbytes.get(key, 0), 0)
        self.storage_nbytes[key] = self.storage_nbytes.get(key, 0) + growth
        self.total_nbytes += growth
        if self.total_nbytes > self.max_nbytes:
            raise UnsafeCheckpointError(
                f"tensors of {self.total_nbytes:,} bytes or more, in a file of {self.max_nbytes:,}")
        self.stack.append(_Storage(numel * itemsize, itemsize))


def check_pickle(stream: IO[bytes], max_nbytes: int) -> None:
    """Simulate the pickle at the position of ``stream`` and check every call in it.

    Args:
        stream: ends up behind the pickle.
        max_nbytes: maximum size of all tensors together in bytes: the size of the file.

    Raises:
        UnsafeCheckpointError: an object would be larger than the file, or a tensor is not dense.
        UnsafeGlobalError: a function or class is called that checkpoints do not need.
        Exception: of any other type, as pickle raises them, for a damaged pickle.
    """
    machine = _PickleMachine(max_nbytes)
    for opcode, argument, _ in pickletools.genops(stream):
        step = _STEPS.get(opcode.name)
        if step is None:
            raise UnsafeCheckpointError(
                f"the pickle instruction {opcode.name}, which torch.save does not write")
        step(machine, argument)


def _check_call(function: Any, arguments: Any) -> Any:
    """Check a call; the result is b"" for any bytes and None for everything else."""
    name = function.name if isinstance(function, _Global) else "an object that is not a function"
    if name in _OTHER_TENSORS:
        raise UnsafeCheckpointError(f"{_OTHER_TENSORS[name]}, but only dense tensors are read")
    if not isinstance(arguments, tuple):
        raise UnsafeCheckpointError(f"a call of {name} without arguments")
    if name in _DENSE_TENSORS:
        _check_view(arguments)
    elif name == "torch._tensor._rebuild_from_type_v2":  # a tensor with attributes
        if len(arguments) < 3:
            raise UnsafeCheckpointError(f"a call of {name} without arguments")
        _check_call(arguments[0], arguments[2])
    elif name in ("_codecs.encode", "builtins.bytearray"):
        # Protocol 2 writes bytes so. A number would be a size, and other codecs decompress.
        is_text = [type(argument) for argument in arguments] == [str, str]
        is_allowed = arguments[1] in ("latin1", "latin-1") if is_text else (
            name == "builtins.bytearray" and arguments in ((), (b"",)))
        if not is_allowed:
            raise UnsafeCheckpointError(f"a call of {name} that torch.save does not write")
        return b""
    elif name in [f"{module}._reconstruct" for module in _NUMPY]:
        if arguments[1:2] != ((0,),):
            raise UnsafeCheckpointError("a numpy array with a size in advance")
    elif name not in _ALLOWED_CALLS:
        raise UnsafeGlobalError(name)
    return None


def _check_view(arguments: tuple[Any, ...]) -> None:
    storage, shape = arguments[0], arguments[2] if len(arguments) > 2 else None
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple):
        raise UnsafeCheckpointError("a tensor without storage or shape")
    if any(not isinstance(size, int) or size < 0 for size in shape):
        raise UnsafeCheckpointError("a tensor whose shape is not of integers")
    nbytes = prod(shape) * storage.itemsize
    if nbytes > max(storage.nbytes, _MAX_EXPANDED_BYTES):
        raise UnsafeCheckpointError(
            f"a tensor of {nbytes:,} bytes with a storage of {storage.nbytes:,}")


def _itemsize(name: str) -> int:
    class_name = name.rpartition(".")[2]
    if class_name == "UntypedStorage":
        return 1
    try:
        storage: Any = torch.serialization.StorageType(class_name)  # type: ignore[no-untyped-call]
    except KeyError:
        raise UnsafeGlobalError(name) from None
    return int(storage.dtype.itemsize)


def _push(machine: _PickleMachine, argument: Any) -> None:
    machine.stack.append(argument)


def _push_none(machine: _PickleMachine, _: Any) -> None:
    machine.stack.append(None)


def _pop(count: int) -> Callable[[_PickleMachine, Any], None]:
    def step(machine: _PickleMachine, _: Any) -> None:
        for _ in range(count):
            machine.pop()
    return step


def _tuple(count: int | None) -> Callable[[_PickleMachine, Any], None]:
    return lambda machine, _: machine.push_tuple(count)


def _pop_marked(machine: _PickleMachine, _: Any) -> None:
    machine.pop_mark()


def _put(machine: _PickleMachine, index: int) -> None:
    machine.memo[index] = machine.stack[-1]


def _get(machine: _PickleMachine, index: int) -> None:
    machine.stack.append(machine.memo[index])


def _ignore(machine: _PickleMachine, _: Any) -> None:
    """PROTO and STOP do not change the stack."""


# The instructions that torch's weights_only unpickler supports.
_STEPS: dict[str, Callable[[_PickleMachine, Any], None]] = {
    "PROTO": _ignore, "STOP": _ignore, "MARK": _PickleMachine.mark, "GLOBAL": _PickleMachine.name,
    "REDUCE": _PickleMachine.call, "NEWOBJ": _PickleMachine.new,
    "BINPERSID": _PickleMachine.storage, "BUILD": _pop(1), "APPEND": _pop(1), "SETITEM": _pop(2),
    "APPENDS": _pop_marked, "SETITEMS": _pop_marked,
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()), "TUPLE": _tuple(None),
    "TUPLE1": _tuple(1), "TUPLE2": _tuple(2), "TUPLE3": _tuple(3),
    **dict.fromkeys(("NONE", "NEWFALSE", "NEWTRUE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET",
                     "BINFLOAT", "SHORT_BINSTRING"), _push_none),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"), _push),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _get),
}
