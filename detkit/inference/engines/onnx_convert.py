"""Convert a static graph to ONNX, with RoiAlign, NonMaxSuppression and DeformConv.

torch's exporter based on ``torch.export`` supports all three; the older one has no DeformConv.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from detkit.errors import ExportError, MissingExtraError
from detkit.inference.engines.input_batch import INPUT_NAMES, OUTPUT_NAMES
from detkit.inference.engines.no_telemetry import disable_telemetry
from detkit.inference.engines.program import export_program, quiet

# The first opset with DeformConv.
OPSET = 19


def write_onnx(graph: nn.Module, input_hw: tuple[int, int], path: Path) -> None:
    """Write a static graph as one self-contained ONNX file, for batches of any size.

    Args:
        graph: the static graph, in eval mode.
        input_hw: height and width of its input in pixels.
        path: the .onnx file to write.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        ExportError: ONNX has no operator for something in the graph.
    """
    import torch

    disable_telemetry()
    for library in ("onnx", "onnxscript"):
        try:
            __import__(library)
        except ImportError as error:
            raise MissingExtraError(library, "onnx") from error
    program: Any = export_program(graph, input_hw)
    with quiet():
        try:
            torch.onnx.export(
                program, (), str(path), dynamo=True, opset_version=OPSET, verbose=False,
                external_data=False, input_names=list(INPUT_NAMES), output_names=list(OUTPUT_NAMES),
            )
        except torch.onnx.errors.OnnxExporterError as error:
            message = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise ExportError("the model cannot be converted to ONNX", got=message[0],
                              hint="use --format openvino or torch") from error
