"""Convert a static graph to an OpenVINO model, with corrected conversions of two operators."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from detkit.errors import ExportError
from detkit.inference.engines.input_batch import INPUT_NAMES, OUTPUT_NAMES, dummy_batch
from detkit.inference.engines.openvino.shared_core import import_openvino, import_openvino_module

GRAPH_PACKAGE = "detkit.inference.graph"
WEIGHTED_OPS = ("Convolution", "GroupConvolution", "MatMul", "DeformableConvolution")


def build_openvino_model(graph: nn.Module, input_hw: tuple[int, int]) -> Any:
    """The ``openvino.Model`` of a static graph, for batches of any size, in float32.

    Args:
        graph: the static graph, on the CPU, in eval mode.
        input_hw: height and width of its input in pixels.

    Raises:
        MissingExtraError: openvino is not installed.
        ExportError: OpenVINO does not support something in the graph.
    """
    openvino = import_openvino()
    extension = import_openvino_module("frontend.pytorch").ConversionExtension
    inputs = tuple(torch.from_numpy(item) for item in dummy_batch(input_hw))
    with warnings.catch_warnings(), torch.inference_mode():
        # About shapes used as numbers; those of a static graph do not depend on the image.
        warnings.simplefilter("ignore")
        trace: Any = torch.jit.trace
        traced = trace(graph, inputs, check_trace=False)
        try:
            model = openvino.convert_model(
                traced,
                example_input=inputs,
                input=[([-1, *input_hw, 3], openvino.Type.u8), ([-1, 2], openvino.Type.i64)],
                extension=[
                    extension("torchvision::nms", _nms),
                    extension("aten::index_fill", _index_fill),
                ],
            )
        except RuntimeError as error:
            message = str(error).strip().splitlines()[-1:] or [""]
            raise ExportError("OpenVINO cannot convert the model", got=message[0],
                              hint="use --format onnx or torch") from error
    for port, name in zip([*model.inputs, *model.outputs], [*INPUT_NAMES, *OUTPUT_NAMES]):
        port.get_tensor().set_names({name})
    keep_coordinates_fp32(model, get_network_module_names(graph))
    return model


def get_network_module_names(graph: nn.Module) -> list[str]:
    """Names of the modules of a static graph that are the trained model's: the network itself.

    The graph's own modules, for normalization, decoding and NMS, compute coordinates.
    """
    names: list[str] = []
    for name, module in graph.named_modules():
        # Containers such as ModuleList may hold modules of the graph.
        has_graph_modules = any(
            type(child).__module__.startswith(GRAPH_PACKAGE) for child in module.modules())
        is_nested = any(name.startswith(f"{outer}.") for outer in names)
        if name and not has_graph_modules and not is_nested:
            names.append(name)
    return names


def coordinate_ops(model: Any, network_modules: Sequence[str]) -> list[Any]:
    """The operations of an OpenVINO model outside ``network_modules``.

    Layers with weights are left out: those of a head may be called by the graph directly.
    """
    prefixes = tuple(f"__module.{module_name}{end}" for module_name in network_modules
                     for end in "/.")
    return [
        node for node in model.get_ops()
        if node.get_type_name() not in (*WEIGHTED_OPS, "Constant", "Parameter", "Result")
        and not node.get_friendly_name().startswith(prefixes)
    ]


def keep_coordinates_fp32(model: Any, network_modules: Sequence[str]) -> None:
    """Make OpenVINO compute coordinates in float32 when the network runs in bf16.

    OpenVINO's passes use the same attribute to exclude operations from 16-bit compression.
    """
    for node in coordinate_ops(model, network_modules):
        node.rt_info["precise_0"] = ""


def _nms(context: Any) -> list[Any]:
    """torchvision's nms; OpenVINO's own conversion pads the results with -1."""
    ops = import_openvino_module("opset14")
    boxes, scores, threshold = (context.get_input(input_index) for input_index in range(3))
    zero, one, two = (ops.constant(np.array(value, np.int64)) for value in (0, 1, 2))
    count = ops.gather(ops.shape_of(scores), zero, zero)
    selected = ops.non_max_suppression(
        ops.unsqueeze(boxes, zero), ops.unsqueeze(ops.unsqueeze(scores, zero), zero), count,
        ops.convert(threshold, "f32"), output_type="i64",
    )
    # Rows of (image, class, box).
    return [ops.gather(selected.output(0), two, one).output(0)]


def _index_fill(context: Any) -> list[Any]:
    """``Tensor.index_fill``, which OpenVINO does not support."""
    ops = import_openvino_module("opset14")
    values, dim, index, value = (context.get_input(input_index) for input_index in range(4))
    updates = ops.broadcast(ops.convert_like(value, values), ops.shape_of(index))
    return [ops.scatter_update(values, index, updates, dim).output(0)]
