"""A static graph as a .safetensors file: operators as JSON in its metadata, and the weights.

torch's .pt2 format can hold code: pickled objects, shared libraries, expressions that are evaluated
and names of any torch function. So the graph of a ``torch.export`` program is written as JSON and
interpreted operator by operator. Nothing in a file is imported, unpickled, compiled or evaluated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from detkit.errors import ExportError
from detkit.inference.engines.graph_operators import operator_name, resolve_operator
from detkit.inference.engines.ports import REEXPORT_HINT
from detkit.machine.memory import available_memory
from detkit.machine.tensor_memory_limit import TensorLimitError, TensorMemoryLimit

KEY, VERSION = "detkit_graph", 1
# Of the JSON header, in bytes; a detector's has one or two million.
MAX_TEXT_BYTES = 64 << 20
MAX_STEPS, MAX_DEPTH = 200_000, 8
UNSUPPORTED_MODEL = "the torch format does not support the model"


class Value(NamedTuple):
    """The position of a value among those that a graph computes; its inputs come first."""

    position: int


class Weight(NamedTuple):
    """A tensor of the file, by the name of its buffer in the module."""

    buffer: str


class Step(NamedTuple):
    """One operator: its function, its arguments, and the indices of values used here last."""

    call: Callable[..., Any]
    args: list[Any]
    kwargs: dict[str, Any]
    last_uses: list[int]


class GraphInterpreter(nn.Module):
    """Execute the steps of a file one by one.

    Args:
        tensors: the file's tensors, by name.
        names: the buffer name of each tensor.
        steps: in order; each computes the next value.
        outputs: the values that `forward` returns.
    """

    def __init__(
        self, tensors: Mapping[str, torch.Tensor], names: Mapping[str, str],
        steps: Sequence[Step], outputs: Sequence[Value],
    ) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(names[name], tensor)
        self._steps, self._outputs = list(steps), list(outputs)
        self._validated = False

    def forward(self, images: torch.Tensor, image_hw: torch.Tensor) -> tuple[Any, ...]:
        """Run the graph; see `detkit.inference.graph.build.build_static_graph`.

        Raises:
            ExportError: the first call needs more memory than is available.
        """
        if self._validated:
            return self._run(images, image_hw)
        # The file is untrusted, and a few characters of it can ask for any amount of memory.
        try:
            with TensorMemoryLimit(available_memory()):
                result = self._run(images, image_hw)
        except TensorLimitError as error:
            raise ExportError("the graph needs more memory than is available", got=str(error),
                              hint=REEXPORT_HINT) from error
        self._validated = True
        return result

    def _run(self, images: torch.Tensor, image_hw: torch.Tensor) -> tuple[Any, ...]:
        values: list[Any] = [images, image_hw]
        for step in self._steps:
            args = [self._resolve(item, values) for item in step.args]
            kwargs = {name: self._resolve(item, values) for name, item in step.kwargs.items()}
            values.append(step.call(*args, **kwargs))
            for index in step.last_uses:
                values[index] = None
        return tuple(values[item.position] for item in self._outputs)

    def _resolve(self, argument: Any, values: list[Any]) -> Any:
        if isinstance(argument, Value):
            return values[argument.position]
        if isinstance(argument, Weight):
            return getattr(self, argument.buffer)
        if isinstance(argument, list):
            return [self._resolve(item, values) for item in argument]
        return argument


def write_graph_data(program: Any, path: Path) -> None:
    """Write a ``torch.export.ExportedProgram`` with two inputs.

    Raises:
        ExportError: it has something that the format does not support.
    """
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {}
    encoded: dict[str, Any] = {}
    for spec, name in zip(program.graph_signature.input_specs, _placeholders(program)):
        if spec.kind.name == "USER_INPUT":
            encoded[name] = {"value": sum("value" in item for item in encoded.values())}
            continue
        state = program.state_dict if spec.target in program.state_dict else program.constants
        # Cloned: safetensors accepts neither shared memory nor gaps.
        tensors[spec.target] = state[spec.target].detach().cpu().contiguous().clone()
        encoded[name] = {"tensor": spec.target}
    steps: list[Any] = []
    outputs: list[Any] = []
    for node in _live_nodes(program.graph.nodes):
        if node.op == "output":
            outputs = [_encode(item, encoded) for item in node.args[0]]
        elif node.op == "call_function":
            name = operator_name(node.target)
            try:
                resolve_operator(name)
            except LookupError as error:
                raise ExportError(UNSUPPORTED_MODEL, got=str(error.args[0]),
                                  hint="use --format openvino or onnx") from error
            steps.append({
                "op": name, "args": [_encode(item, encoded) for item in node.args],
                "kwargs": {key: _encode(item, encoded) for key, item in node.kwargs.items()}})
            encoded[node.name] = {"value": 1 + len(steps)}
        elif node.op != "placeholder":
            raise ExportError(UNSUPPORTED_MODEL, got=f"a {node.op} node",
                              hint="use --format openvino or onnx")
    text = json.dumps({"version": VERSION, "steps": steps, "outputs": outputs})
    # Not save_file, which makes the file readable by its owner only.
    path.write_bytes(save(tensors, {KEY: text}))


def _placeholders(program: Any) -> list[str]:
    return [node.name for node in program.graph.nodes if node.op == "placeholder"]


def _live_nodes(nodes: Iterable[Any]) -> list[Any]:
    """The nodes that the outputs depend on, in order; checks and their inputs are dropped."""
    result: dict[Any, None] = {}
    for node in reversed(list(nodes)):
        is_mutating = isinstance(node.target,
                                 torch._ops.OpOverload) and node.target._schema.is_mutable
        if node.op != "call_function" or is_mutating or any(user in result for user in node.users):
            result[node] = None
    return list(reversed(result))


def _encode(argument: Any, encoded: Mapping[str, Any]) -> Any:
    """An argument of a node as JSON content."""
    if isinstance(argument, torch.fx.Node):
        return encoded[argument.name]
    if isinstance(argument, (list, tuple)):
        return [_encode(item, encoded) for item in argument]
    if isinstance(argument, torch.dtype):
        return {"dtype": str(argument).removeprefix("torch.")}
    if isinstance(argument, torch.memory_format):
        return {"memory_format": str(argument).removeprefix("torch.")}
    if isinstance(argument, torch.device):
        return {"device": None}  # the device for which the file is read
    if argument is torch.strided:
        return None
    if argument is None or isinstance(argument, (bool, int, float, str)):
        return argument
    raise ExportError(UNSUPPORTED_MODEL,
                      got=f"an argument of type {type(argument).__name__}",
                      hint="use --format openvino or onnx")


def read_graph_data(path: Path, device: str = "cpu") -> nn.Module:
    """Read a file that `write_graph_data` wrote.

    Args:
        path: the file.
        device: 'cpu', 'cuda' or 'cuda:N'; where the graph's tensors are created.

    Raises:
        ExportError: the file is not valid, or names an operator that is not allowed.
    """
    from safetensors import safe_open

    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
        if length > MAX_TEXT_BYTES:
            raise ValueError(f"a header of {length} bytes, expected at most {MAX_TEXT_BYTES}")
        with safe_open(str(path), framework="pt") as file:
            content = json.loads((file.metadata() or {})[KEY])
            if content["version"] != VERSION:
                raise ValueError(f"version {content['version']!r}, expected {VERSION}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        return _module(content, tensors, device)
    except MemoryError:
        raise
    except Exception as error:  # safetensors, json and torch raise many types on broken files
        message = " ".join(str(error).split())[:160]
        raise ExportError(f"{path}: is not a graph file that detkit wrote",
                          got=f"{type(error).__name__}: {message}", hint=REEXPORT_HINT) from error


def _module(content: Any, tensors: Mapping[str, torch.Tensor], device: str) -> nn.Module:
    names = {name: f"tensor{index}" for index, name in enumerate(sorted(tensors))}
    if len(content["steps"]) > MAX_STEPS:
        raise ValueError(f"{len(content['steps'])} steps, expected at most {MAX_STEPS}")
    steps: list[Step] = []
    for index, step in enumerate(content["steps"]):
        num_values = 2 + index
        args = [_decode(item, num_values, names, device) for item in step["args"]]
        kwargs = {str(key): _decode(item, num_values, names, device)
                  for key, item in step["kwargs"].items()}
        steps.append(Step(resolve_operator(step["op"]), args, kwargs, []))
    outputs = [_decode(item, 2 + len(steps), names, device) for item in content["outputs"]]
    if not all(isinstance(item, Value) for item in outputs):
        raise ValueError("an output that is not a value of the graph")
    _find_last_uses(steps, {item.position for item in outputs})
    return GraphInterpreter(tensors, names, steps, outputs).to(device)


def _find_last_uses(steps: Sequence[Step], needed: set[int]) -> None:
    """Record the last use of each value, after which its memory is released."""
    used = set(needed)
    for step in reversed(steps):
        for index in _value_indices([*step.args, *step.kwargs.values()]):
            if index not in used:
                used.add(index)
                step.last_uses.append(index)


def _value_indices(arguments: Sequence[Any]) -> set[int]:
    result: set[int] = set()
    for item in arguments:
        if isinstance(item, Value):
            result.add(item.position)
        elif isinstance(item, list):
            result |= _value_indices(item)
    return result


def _decode(
    argument: Any, num_values: int, names: Mapping[str, str], device: str, depth: int = 0
) -> Any:
    """An argument from what `_encode` returned; indices of values must be below ``num_values``."""
    if argument is None or isinstance(argument, (bool, str)):
        return argument
    if isinstance(argument, (int, float)):
        if isinstance(argument, int) and not -2**63 <= argument < 2**63:
            raise ValueError("an integer of more than 64 bits")
        return argument
    if isinstance(argument, list) and depth < MAX_DEPTH:
        return [_decode(item, num_values, names, device, depth + 1) for item in argument]
    if not isinstance(argument, dict) or len(argument) != 1:
        raise ValueError("an argument in an unknown form")
    (tag, value), = argument.items()
    if tag == "value" and type(value) is int and 0 <= value < num_values:
        return Value(value)
    if tag == "tensor":
        return Weight(names[value])
    if tag == "device":
        return torch.device(device)
    if tag in ("dtype", "memory_format"):
        result = getattr(torch, str(value), None)
        if isinstance(result, torch.dtype if tag == "dtype" else torch.memory_format):
            return result
    raise ValueError(f"an argument with the unknown tag {str(tag)[:40]!r}")
