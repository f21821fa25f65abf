"""A static graph into a file of each format, and an engine out of it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from detkit.errors import ExportError
from detkit.inference.engines.availability import (
    ensure_engine_available,
    resolve_device,
    resolve_device_type,
)
from detkit.inference.engines.engine import Engine
from detkit.inference.engines.openvino.int8 import CalibrationImage

SUFFIXES = {"openvino": ".xml", "onnx": ".onnx", "torch": ".safetensors"}
# The engines that run each format, the one that is taken unasked first.
ENGINES = {
    "openvino": ("openvino",),
    "onnx": ("onnxruntime", "tensorrt"),
    "torch": ("torch", "torch.compile"),
}


def graph_file_name(export_format: str, input_hw: tuple[int, int]) -> str:
    """The name of a canvas's file."""
    return f"graph_{input_hw[0]}x{input_hw[1]}{SUFFIXES[export_format]}"


def ensure_precision_supported(export_format: str, precision: str, device: str) -> None:
    """Do nothing where a format can be made, and measured here, in a precision.

    Raises:
        MissingExtraError: its library is not installed.
        ExportError: it cannot.
    """
    if precision == "int8" and export_format != "openvino":
        raise ExportError(f"--precision int8 of --format {export_format}",
                          expected="--format openvino")
    name = ENGINES[export_format][0]
    ensure_engine_available(name, precision, resolve_engine_device(name, device))


def resolve_engine_device(name: str, device: str) -> str:
    """The device that 'auto' means for an engine: OpenVINO and ONNX Runtime are for the CPU."""
    return "cpu" if device == "auto" and name in ("openvino", "onnxruntime") else device


def write_graph(
    export_format: str,
    graph: nn.Module,
    input_hw: tuple[int, int],
    folder: Path,
    calibration: Sequence[CalibrationImage] | None = None,
) -> str:
    """Write a graph in a format, and give its file's name; OpenVINO's weights go to one beside it.

    Args:
        export_format: 'openvino', 'onnx' or 'torch'.
        graph: the static graph, on the CPU, in eval mode.
        input_hw: height and width of its canvases in pixels.
        folder: an existing one.
        calibration: for int8, training pictures on the canvas; None keeps the numbers' precision.

    Raises:
        MissingExtraError: a library is not installed.
        ExportError: the format cannot hold the graph.
    """
    path = folder / graph_file_name(export_format, input_hw)
    if export_format == "torch":
        from detkit.inference.engines.graph_data import write_graph_data
        from detkit.inference.engines.program import export_program

        write_graph_data(export_program(graph, input_hw), path)
    elif export_format == "onnx":
        from detkit.inference.engines.onnx_convert import write_onnx

        write_onnx(graph, input_hw, path)
    else:
        from detkit.inference.engines.openvino.convert import (
            build_openvino_model,
            network_modules_of,
        )
        from detkit.inference.engines.openvino.shared_core import import_openvino

        model = build_openvino_model(graph, input_hw)
        if calibration is not None:
            from detkit.inference.engines.openvino.int8 import quantize

            model = quantize(model, network_modules_of(graph), calibration)
        import_openvino().save_model(model, str(path), compress_to_fp16=False)
    return path.name


def read_graph(
    export_format: str,
    path: Path,
    input_hw: tuple[int, int],
    precision: str,
    engine: str = "auto",
    num_streams: int = 1,
    device: str = "auto",
) -> Engine:
    """The engine of a graph's file.

    Args:
        export_format: its format.
        path: the file.
        input_hw: height and width of its canvases in pixels.
        precision: as it was exported.
        engine: one that runs the format; 'auto' for the usual one.
        num_streams: calls to be served side by side.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        MissingExtraError: a library is not installed.
        ExportError: the engine does not run the format, or not here, or cannot read the file.
    """
    name = ENGINES[export_format][0] if engine == "auto" else engine
    if name not in ENGINES[export_format]:
        raise ExportError(f"an engine for a folder in the format {export_format}", got=name,
                          expected=f"auto or {' or '.join(ENGINES[export_format])}")
    engine_device = resolve_engine_device(name, device)
    ensure_engine_available(name, precision, engine_device)
    if name == "openvino":
        from detkit.inference.engines.openvino.engine import OpenVinoEngine

        return OpenVinoEngine(path, input_hw, precision, num_streams)
    if name == "onnxruntime":
        from detkit.inference.engines.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(path, input_hw, num_streams,
                                 device=resolve_device_type(engine_device))
    if name == "tensorrt":
        from detkit.inference.engines.tensorrt_engine import TensorRtEngine

        return TensorRtEngine(path, input_hw, precision, resolve_device(engine_device))
    from detkit.inference.engines.graph_data import read_graph_data
    from detkit.inference.engines.torch_engine import TorchEngine

    torch_device = resolve_device(engine_device)
    return TorchEngine(read_graph_data(path, torch_device), input_hw, precision, torch_device,
                       compiled=name == "torch.compile")
