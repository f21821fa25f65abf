"""ONNX Runtime as an engine."""

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

LOG_FATAL_ONLY = 4  # errors are raised, too


class OnnxRuntimeEngine:
    """Run an ONNX file; a session serves callers from several threads by itself.

    Args:
        path: the .onnx file.
        input_hw: height and width of the canvases in pixels.
        num_streams: calls that are served side by side; each gets its share of the cores.
        threads: cores to use; None for all that the process may use.
        device: 'cpu' or 'cuda'.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ExportError: the file is no ONNX model, or holds what this ONNX Runtime does not know.
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
        # Not its own other format, of which it checks less.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # With one thread a call runs in its caller's; more are a pool that all calls share.
        options.intra_op_num_threads = max((threads or num_cores()) // num_streams, 1)
        providers = ["CPUExecutionProvider"]
        if device != "cpu":
            providers.insert(0, "CUDAExecutionProvider")
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers)
        except Exception as error:  # of a dozen classes of its own, with no common one
            raise ExportError(f"{path}: ONNX Runtime cannot read it",
                              got=" ".join(str(error).split())[:200]) from error
        check_ports(path, input_hw, _ports(self._session.get_inputs()),
                    _ports(self._session.get_outputs()))

    def __call__(
        self, images: NDArray[np.uint8], image_hw: NDArray[np.int64]
    ) -> RawDetections:
        """Detect in a batch of canvases; see `Engine`."""
        check_batch(images, image_hw, self.input_hw)
        if not len(images):
            return empty_result(self)
        input_feed = dict(
            zip(INPUT_NAMES, (np.ascontiguousarray(images), np.ascontiguousarray(image_hw))))
        return RawDetections(*self._session.run(list(OUTPUT_NAMES), input_feed))

    def close(self) -> None:
        """Let go of the session; the engine cannot be called any more."""
        self._session = None


def _ports(ports: Any) -> list[Port]:
    """What ONNX Runtime says of a model's inputs or outputs."""
    result = []
    for port in ports:
        dtype = port.type.removeprefix("tensor(").removesuffix(")")
        shape = tuple(dim if isinstance(dim, int) else None for dim in port.shape)
        result.append(Port(port.name, "float32" if dtype == "float" else dtype, shape))
    return result
