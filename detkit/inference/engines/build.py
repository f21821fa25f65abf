"""A static graph made ready by the engine of a name."""

from __future__ import annotations

import tempfile
from pathlib import Path

from torch import nn

from detkit.inference.engines.availability import EXPORT_INT8, device_kind, device_name, require
from detkit.inference.engines.engine import Engine


def build_engine(
    name: str,
    graph: nn.Module,
    canvas_hw: tuple[int, int],
    precision: str = "f32",
    streams: int = 1,
    device: str = "auto",
) -> Engine:
    """Make the engine ``name`` of a static graph.

    Args:
        name: 'torch', 'torch.compile', 'openvino', 'onnxruntime' or 'tensorrt'.
        graph: the static graph, in eval mode.
        canvas_hw: height and width of its canvases in pixels.
        precision: 'f32', 'bf16' or 'f16'. int8 needs calibration, which an export does.
        streams: calls to be served side by side, for the engines that divide the cores.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        MissingExtraError: its library is not installed.
        ExportError: it does not run here, not in this precision, or cannot read the graph.
    """
    from detkit.errors import ExportError

    require(name, precision, device)
    if precision == "int8":
        raise ExportError("int8 of a checkpoint", expected="an exported folder",
                          do=EXPORT_INT8)
    where = device_name(device)
    if name in ("torch", "torch.compile"):
        from detkit.inference.engines.torch_engine import TorchEngine

        return TorchEngine(graph, canvas_hw, precision, where, compiled=name == "torch.compile")
    if name == "openvino":
        from detkit.inference.engines.openvino.convert import openvino_model
        from detkit.inference.engines.openvino.engine import OpenVinoEngine

        return OpenVinoEngine(openvino_model(graph, canvas_hw), canvas_hw, precision, streams)
    from detkit.inference.engines.onnx_convert import write_onnx

    with tempfile.TemporaryDirectory(prefix="detkit-") as folder:
        path = Path(folder, "model.onnx")
        write_onnx(graph, canvas_hw, path)
        if name == "onnxruntime":
            from detkit.inference.engines.onnxruntime_engine import OnnxRuntimeEngine

            kind = device_kind(device)
            return OnnxRuntimeEngine(path, canvas_hw, streams, device=kind)
        from detkit.inference.engines.tensorrt_engine import TensorRtEngine

        return TensorRtEngine(path, canvas_hw, precision, where)
