"""OpenVINO as an engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from queue import LifoQueue
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import ExportError, is_out_of_memory
from detkit.inference.engines.engine import RawDetections
from detkit.inference.engines.input_batch import OUTPUT_NAMES, check_batch, empty_result
from detkit.inference.engines.openvino.shared_core import import_openvino, openvino_core
from detkit.inference.engines.openvino.file_check import check_openvino_file
from detkit.inference.engines.ports import REEXPORT_HINT, Port, check_ports
from detkit.machine.cpu_limits import num_cores
from detkit.machine.memory import available_memory

_DTYPE_LOCK = Lock()
DTYPES = {"u8": "uint8", "i64": "int64", "i32": "int32", "f32": "float32", "f16": "float16"}
PRECISION_HINTS = {"f32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoEngine:
    """Run an OpenVINO model on the CPU; each call has an infer request of its own.

    Args:
        model: the ``openvino.Model`` with any batch size, or the .xml file that it was saved to.
        input_hw: height and width of the canvases in pixels.
        precision: 'f32', 'bf16', or 'int8' for a model that was quantised; the numbers that are
            not are then computed in float32.
        num_streams: calls that are served side by side, each with its share of the cores; 1 gives
            all cores to one call, for the shortest wait.
        threads: cores to use; None for all that the process may use.
        cache_dir: where OpenVINO keeps what it compiled; None keeps nothing.

    Raises:
        MissingExtraError: openvino is not installed.
        ExportError: the file is no OpenVINO model of canvases of this size.
    """

    def __init__(
        self,
        model: Any,
        input_hw: tuple[int, int],
        precision: str = "f32",
        num_streams: int = 1,
        threads: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        openvino = import_openvino()
        with _DTYPE_LOCK:
            # Two threads in their first look at a type wait for each other for ever.
            openvino.Type.u8.to_dtype()
        self.name = "openvino"
        self.precision = precision
        self.input_hw = input_hw
        self.num_streams = num_streams
        self._core = openvino_core()
        self._model = self._read(model) if isinstance(model, (str, Path)) else model
        self._options = {
            "PERFORMANCE_HINT": "LATENCY" if num_streams == 1 else "THROUGHPUT",
            "NUM_STREAMS": str(num_streams),
            "INFERENCE_NUM_THREADS": str(threads or num_cores()),
            # Said, since OpenVINO's own choice is bf16 wherever the processor has it.
            "INFERENCE_PRECISION_HINT": PRECISION_HINTS[precision],
            **({"CACHE_DIR": str(cache_dir)} if cache_dir else {}),
        }
        self._lock = Lock()
        self._pools: dict[int, _RequestPool] = {}
        try:
            self._pool_for(1)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise ExportError("OpenVINO cannot compile the model",
                              got=" ".join(str(error).split())[-200:]) from error

    def _read(self, path: str | Path) -> Any:
        check_openvino_file(Path(path))
        try:
            model = self._core.read_model(path)
        except RuntimeError as error:
            raise ExportError(f"{path}: OpenVINO cannot read it",
                              got=" ".join(str(error).split())[-200:]) from error
        check_ports(path, self.input_hw, _ports(model.inputs), _ports(model.outputs))
        return model

    def __call__(
        self, images: NDArray[np.uint8], image_hw: NDArray[np.int64]
    ) -> RawDetections:
        """Detect in a batch of canvases; see `Engine`."""
        check_batch(images, image_hw, self.input_hw)
        if not len(images):
            return empty_result(self)
        inputs = [np.ascontiguousarray(images), np.ascontiguousarray(image_hw)]
        with self._pool_for(len(images)).request() as request:
            result = request.infer(inputs, share_inputs=True)
            # Copies: the request's own tensors are the next caller's.
            boxes, scores, labels, counts = (
                np.array(result[index]) for index in range(len(OUTPUT_NAMES))
            )
        return RawDetections(boxes, scores, labels, counts)

    def close(self) -> None:
        """Let go of the compiled models; later calls compile them anew."""
        with self._lock:
            self._pools.clear()

    def _pool_for(self, batch: int) -> _RequestPool:
        """Requests of the model compiled for one image, which is quicker, or for any number."""
        size = 1 if batch == 1 else -1
        with self._lock:
            if size not in self._pools:
                model = self._model.clone()
                model.reshape({model.inputs[0]: [size, *self.input_hw, 3],
                               model.inputs[1]: [size, 2]})
                _check_layer_sizes(model)
                compiled = self._core.compile_model(model, "CPU", self._options)
                self._pools[size] = _RequestPool(compiled, self.num_streams)
            return self._pools[size]


def _check_layer_sizes(model: Any) -> None:
    """Refuse a layer whose result no memory has room for: a few letters of a file ask for it."""
    max_bytes = available_memory() // 2  # A constant is made once more while it is folded.
    for layer in model.get_ordered_ops():
        for result in layer.outputs():
            shape = result.get_partial_shape()
            if shape.rank.is_dynamic:
                continue
            dims = [dim.get_length() for dim in shape if not dim.is_dynamic]
            size = prod(dims) * max(result.get_element_type().size, 1)
            if size > max_bytes or min(dims, default=0) < 0:
                raise ExportError("OpenVINO's model asks for more memory than there is",
                                  got=f"{size:,} bytes for one layer's result", hint=REEXPORT_HINT)


def _ports(ports: Any) -> list[Port]:
    """What OpenVINO says of a model's inputs or outputs."""
    result = []
    for item in ports:
        shape = item.get_partial_shape()
        dims = None if shape.rank.is_dynamic else tuple(
            None if dim.is_dynamic else dim.get_length() for dim in shape)
        dtype = DTYPES.get(item.get_element_type().get_type_name(), "another type")
        result.append(Port(min(item.get_names(), default=None), dtype, dims))
    return result


class _RequestPool:
    """Infer requests that are lent to one caller each; more callers than requests wait."""

    def __init__(self, compiled: Any, size: int) -> None:
        self._free: LifoQueue[Any] = LifoQueue()
        for _ in range(size):
            self._free.put(compiled.create_infer_request())

    @contextmanager
    def request(self) -> Iterator[Any]:
        item = self._free.get()
        try:
            yield item
        finally:
            self._free.put(item)
