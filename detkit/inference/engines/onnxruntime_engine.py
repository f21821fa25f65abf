"""The ONNX Runtime engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import ExportError
from detkit.inference.engines.engine import RawDetections
from detkit.inference.engines.input_batch import (
    INPUT_NAMES,
    OUTPUT_NAMES,
    check_batch,
    empty_result,
)
from detkit.inference.engines.no_telemetry import import_onnxruntime
from detkit.inference.engines.ports import Port, check_ports
from detkit.machine.cpu_limits import num_cores

LOG_FATAL_ONLY = 4  # errors are raised as exceptions, too


class OnnxRuntimeEngine:
    """Run an ONNX file; a session may be called from several threads.

    Args:
        path: the .onnx file.
        input_hw: height and width of the input in pixels.
        num_streams: number of concurrent calls; each gets its share of the cores.
        threads: number of cores to use; None for all that the process may use.
        device: 'cpu' or 'cuda'.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ExportError: the file is not an ONNX model, or this ONNX Runtime does not support it.
    """

    def __init__(
        self,
        path: Path,
        input_hw: tuple[int, int],
        num_streams: int = 1,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        onnxruntime = import_onnxruntime()
        self.name = "onnxruntime"
        self.precision = "f32"
        self.input_hw = input_hw
        self.num_streams = num_streams
        options = onnxruntime.SessionOptions()
        options.log_severity_level = LOG_FATAL_ONLY
        # Not the ORT format, which ONNX Runtime validates less.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # With 1 a call runs in its caller's thread; more threads form a pool for all calls.
        options.intra_op_num_threads = max((threads or num_cores()) // num_streams, 1)
        providers = ["CPUExecutionProvider"]
        if device != "cpu":
            providers.insert(0, "CUDAExecutionProvider")
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers)
        except Exception as error:  # ONNX Runtime has a dozen classes without a common base
            raise ExportError(f"{path}: ONNX Runtime cannot read it",
                              got=" ".join(str(error).split())[:200]) from error
        check_ports(path, input_hw, _ports(self._session.get_inputs()),
                    _ports(self._session.get_outputs()))

    def __call__(
        self, images: NDArray[np.uint8], image_hw: NDArray[np.int64]
    ) -> RawDetections:
        """Detect objects in a batch; see `Engine`."""
        check_batch(images, image_hw, self.input_hw)
        if not len(images):
            return empty_result(self)
        input_feed = dict(
            zip(INPUT_NAMES, (np.ascontiguousarray(images), np.ascontiguousarray(image_hw))))
        return RawDetections(*self._session.run(list(OUTPUT_NAMES), input_feed))

    def close(self) -> None:
        """Release the session; the engine cannot be called afterwards."""
        self._session = None


def _ports(ports: Any) -> list[Port]:
    """A model's inputs or outputs from ONNX Runtime's description."""
    result = []
    for port in ports:
        dtype = port.type.removeprefix("tensor(").removesuffix(")")
        shape = tuple(dim if isinstance(dim, int) else None for dim in port.shape)
        result.append(Port(port.name, "float32" if dtype == "float" else dtype, shape))
    return result
