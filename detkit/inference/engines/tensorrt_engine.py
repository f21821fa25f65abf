"""The TensorRT engine, which reads ONNX and needs an NVIDIA GPU."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detkit.errors import ExportError
from detkit.inference.engines.engine import RawDetections
from detkit.inference.engines.input_batch import (
    INPUT_NAMES,
    OUTPUT_NAMES,
    check_batch,
    empty_result,
)

MAX_BATCH_SIZE = 16


class TensorRtEngine:
    """Build a plan from an ONNX file and run it on the GPU, one call at a time.

    torch allocates the memory; TensorRT gets the addresses of its tensors.

    Args:
        path: the .onnx file.
        input_hw: height and width of the input in pixels.
        precision: 'f32', or 'f16' where TensorRT may choose it.
        device: 'cuda' or 'cuda:N'.

    Raises:
        ExportError: TensorRT is not installed, cannot read the file, or cannot build a plan.
    """

    def __init__(
        self,
        path: Path,
        input_hw: tuple[int, int],
        precision: str = "f32",
        device: str = "cuda",
    ) -> None:
        try:
            import tensorrt
        except ImportError as error:
            raise ExportError("the engine tensorrt does not run here: the library 'tensorrt' is "
                              "not installed") from error
        self.name = "tensorrt"
        self.precision = precision
        self.input_hw = input_hw
        self.num_streams = 1
        self._device = torch.device(device)
        self._trt: Any = tensorrt
        self._lock = Lock()
        with torch.cuda.device(self._device):
            self._engine: Any = self._build(path)
            self._context: Any = self._engine.create_execution_context()

    def _build(self, path: Path) -> Any:
        trt = self._trt
        logger = trt.Logger(trt.Logger.ERROR)
        builder = trt.Builder(logger)
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(path.read_bytes()):
            raise ExportError("TensorRT cannot read the model", got=parser.get_error(0).desc())
        config = builder.create_builder_config()
        if self.precision == "f16":
            config.set_flag(trt.BuilderFlag.FP16)
        profile = builder.create_optimization_profile()
        for name, rest in zip(INPUT_NAMES, ((*self.input_hw, 3), (2,))):
            profile.set_shape(name, (1, *rest), (1, *rest), (MAX_BATCH_SIZE, *rest))
        config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise ExportError("TensorRT cannot build a plan of the model")
        return trt.Runtime(logger).deserialize_cuda_engine(plan)

    def __call__(
        self, images: NDArray[np.uint8], image_hw: NDArray[np.int64]
    ) -> RawDetections:
        """Detect objects in a batch, at most 16 images at once; see `Engine`."""
        check_batch(images, image_hw, self.input_hw)
        if not len(images):
            return empty_result(self)
        chunks = [
            self._run(images[start:start + MAX_BATCH_SIZE], image_hw[start:start + MAX_BATCH_SIZE])
            for start in range(0, len(images), MAX_BATCH_SIZE)
        ]
        boxes, scores, labels, counts = (np.concatenate(item) for item in zip(*chunks))
        return RawDetections(boxes, scores, labels, counts)

    def _run(self, images: NDArray[np.uint8], image_hw: NDArray[np.int64]) -> list[NDArray[Any]]:
        with self._lock, torch.cuda.device(self._device):
            stream = torch.cuda.current_stream()
            inputs = [
                torch.from_numpy(np.ascontiguousarray(item)).to(self._device)
                for item in (images, image_hw)
            ]
            for name, tensor in zip(INPUT_NAMES, inputs):
                self._context.set_input_shape(name, tuple(tensor.shape))
                self._context.set_tensor_address(name, tensor.data_ptr())
            outputs = []
            for name in OUTPUT_NAMES:
                shape = tuple(self._context.get_tensor_shape(name))
                dtype = torch.int64 if name in ("labels", "counts") else torch.float32
                outputs.append(torch.empty(shape, dtype=dtype, device=self._device))
                self._context.set_tensor_address(name, outputs[-1].data_ptr())
            if not self._context.execute_async_v3(stream.cuda_stream):
                raise RuntimeError("TensorRT failed to run the batch")
            stream.synchronize()
            return [item.cpu().numpy() for item in outputs]

    def close(self) -> None:
        """Release the plan; the engine cannot be called afterwards."""
        self._context = self._engine = None
