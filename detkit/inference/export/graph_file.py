"""A static graph into a file of each format, and an engine out of it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from detkit.errors import ExportError
from detkit.inference.engines.availability import device_kind, device_name, require
from detkit.inference.engines.engine import Engine
from detkit.inference.engines.openvino.int8 import Canvas

SUFFIXES = {"openvino": ".xml", "onnx": ".onnx", "torch": ".safetensors"}
# The engines that run each format, the one that is taken unasked first.
ENGINES = {
    "openvino": ("openvino",),
    "onnx": ("onnxruntime", "tensorrt"),
    "torch": ("torch", "torch.compile"),
}


def file_name(form: str, canvas_hw: tuple[int, int]) -> str:
    """The name of a canvas's file."""
    return f"graph_{canvas_hw[0]}x{canvas_hw[1]}{SUFFIXES[form]}"


def refuse_precision(form: str, precision: str, device: str) -> None:
    """Do nothing where a format can be made, and measured here, in a precision.

    Raises:
        MissingExtraError: its library is not installed.
        ExportError: it cannot.
    """
    if precision == "int8" and form != "openvino":
        raise ExportError(f"--precision int8 of --format {form}", expected="--format openvino")
    name = ENGINES[form][0]
    require(name, precision, device_for(name, device))


def device_for(name: str, device: str) -> str:
    """The device that 'auto' means for an engine: OpenVINO and ONNX Runtime are for the CPU."""
    return "cpu" if device == "auto" and name in ("openvino", "onnxruntime") else device


def write_graph(
    form: str,
    graph: nn.Module,
    canvas_hw: tuple[int, int],
    folder: Path,
    calibration: Sequence[Canvas] | None = None,
) -> str:
    """Write a graph in a format, and give its file's name; OpenVINO's weights go to one beside it.

    Args:
        form: 'openvino', 'onnx' or 'torch'.
        graph: the static graph, on the CPU, in eval mode.
        canvas_hw: height and width of its canvases in pixels.
        folder: an existing one.
        calibration: for int8, training pictures on the canvas; None keeps the numbers' precision.

    Raises:
        MissingExtraError: a library is not installed.
        ExportError: the format cannot hold the graph.
    """
    path = folder / file_name(form, canvas_hw)
    if form == "torch":
        from detkit.inference.engines.graph_data import write_graph_data
        from detkit.inference.engines.program import exported_program

        write_graph_data(exported_program(graph, canvas_hw), path)
    elif form == "onnx":
        from detkit.inference.engines.onnx_convert import write_onnx

        write_onnx(graph, canvas_hw, path)
    else:
        from detkit.inference.engines.openvino.convert import openvino_model, parts_of
        from detkit.inference.engines.openvino.core import import_openvino

        model = openvino_model(graph, canvas_hw)
        if calibration is not None:
            from detkit.inference.engines.openvino.int8 import quantised

            model = quantised(model, parts_of(graph), calibration)
        import_openvino().save_model(model, str(path), compress_to_fp16=False)
    return path.name


def read_graph(
    form: str,
    path: Path,
    canvas_hw: tuple[int, int],
    precision: str,
    engine: str = "auto",
    streams: int = 1,
    device: str = "auto",
) -> Engine:
    """The engine of a graph's file.

    Args:
        form: its format.
        path: the file.
        canvas_hw: height and width of its canvases in pixels.
        precision: as it was exported.
        engine: one that runs the format; 'auto' for the usual one.
        streams: calls to be served side by side.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        MissingExtraError: a library is not installed.
        ExportError: the engine does not run the format, or not here, or cannot read the file.
    """
    name = ENGINES[form][0] if engine == "auto" else engine
    if name not in ENGINES[form]:
        raise ExportError(f"an engine for a folder in the format {form}", got=name,
                          expected=f"auto or {' or '.join(ENGINES[form])}")
    where = device_for(name, device)
    require(name, precision, where)
    if name == "openvino":
        from detkit.inference.engines.openvino.engine import OpenVinoEngine

        return OpenVinoEngine(path, canvas_hw, precision, streams)
    if name == "onnxruntime":
        from detkit.inference.engines.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(path, canvas_hw, streams, device=device_kind(where))
    if name == "tensorrt":
        from detkit.inference.engines.tensorrt_engine import TensorRtEngine

        return TensorRtEngine(path, canvas_hw, precision, device_name(where))
    from detkit.inference.engines.graph_data import read_graph_data
    from detkit.inference.engines.torch_engine import TorchEngine

    on = device_name(where)
    return TorchEngine(read_graph_data(path, on), canvas_hw, precision, on,
                       compiled=name == "torch.compile")
