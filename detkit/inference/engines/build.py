"""Create the engine of a static graph by name."""

from __future__ import annotations

import tempfile
from pathlib import Path

from torch import nn

from detkit.inference.engines.availability import (
    INT8_EXPORT_HINT,
    ensure_engine_available,
    resolve_device,
    resolve_device_type,
)
from detkit.inference.engines.engine import Engine


def build_engine(
    name: str,
    graph: nn.Module,
    input_hw: tuple[int, int],
    precision: str = "f32",
    num_streams: int = 1,
    device: str = "auto",
) -> Engine:
    """Create the engine ``name`` for a static graph.

    Args:
        name: 'torch', 'torch.compile', 'openvino', 'onnxruntime' or 'tensorrt'.
        graph: the static graph, in eval mode.
        input_hw: height and width of its input in pixels.
        precision: 'f32', 'bf16' or 'f16'. int8 needs calibration, which an export does.
        num_streams: number of concurrent calls, for the engines that divide the cores among them.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        MissingExtraError: its library is not installed.
        ExportError: the engine does not run here or in this precision, or cannot convert the graph.
    """
    from detkit.errors import ExportError

    ensure_engine_available(name, precision, device)
    if precision == "int8":
        raise ExportError("int8 of a checkpoint", expected="an exported folder",
                          hint=INT8_EXPORT_HINT)
    torch_device = resolve_device(device)
    if name in ("torch", "torch.compile"):
        from detkit.inference.engines.torch_engine import TorchEngine

        return TorchEngine(graph, input_hw, precision, torch_device,
                           compiled=name == "torch.compile")
    if name == "openvino":
        from detkit.inference.engines.openvino.convert import build_openvino_model
        from detkit.inference.engines.openvino.engine import OpenVinoEngine

        return OpenVinoEngine(build_openvino_model(graph, input_hw), input_hw, precision,
                              num_streams)
    from detkit.inference.engines.onnx_convert import write_onnx

    with tempfile.TemporaryDirectory(prefix="detkit-") as folder:
        path = Path(folder, "model.onnx")
        write_onnx(graph, input_hw, path)
        if name == "onnxruntime":
            from detkit.inference.engines.onnxruntime_engine import OnnxRuntimeEngine

            device_type = resolve_device_type(device)
            return OnnxRuntimeEngine(path, input_hw, num_streams, device=device_type)
        from detkit.inference.engines.tensorrt_engine import TensorRtEngine

        return TensorRtEngine(path, input_hw, precision, torch_device)
