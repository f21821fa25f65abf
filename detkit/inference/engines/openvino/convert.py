"""A static graph as an OpenVINO model, with the translations that OpenVINO's own are wrong for."""

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
        input_hw: height and width of its canvases in pixels.

    Raises:
        MissingExtraError: openvino is not installed.
        ExportError: OpenVINO does not know something in the graph.
    """
    openvino = import_openvino()
    extension = import_openvino_module("frontend.pytorch").ConversionExtension
    inputs = tuple(torch.from_numpy(one) for one in dummy_batch(input_hw))
    with warnings.catch_warnings(), torch.inference_mode():
        # Of shapes that are read as numbers: those of a static graph depend on no picture.
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
            raise ExportError("OpenVINO cannot read the model", got=message[0],
                              hint="use --format onnx or torch") from error
    for port, name in zip([*model.inputs, *model.outputs], [*INPUT_NAMES, *OUTPUT_NAMES]):
        port.get_tensor().set_names({name})
    keep_coordinates_fp32(model, network_modules_of(graph))
    return model


def network_modules_of(graph: nn.Module) -> list[str]:
    """Names of the modules that a static graph took whole from the model: the network itself.

    What lies beside them, normalising, decoding and choosing, computes coordinates.
    """
    names: list[str] = []
    for name, module in graph.named_modules():
        # A list of torch's own may hold what is ours.
        has_graph_modules = any(
            type(one).__module__.startswith(GRAPH_PACKAGE) for one in module.modules())
        if name and not has_graph_modules and not any(name.startswith(f"{one}.") for one in names):
            names.append(name)
    return names


def coordinate_ops(model: Any, network_modules: Sequence[str]) -> list[Any]:
    """The operations of an OpenVINO model that belong to no module of ``network_modules``.

    Layers with weights are none of them: a head's may stand in the graph by themselves.
    """
    prefixes = tuple(f"__module.{module_name}{end}" for module_name in network_modules
                     for end in "/.")
    return [
        node for node in model.get_ops()
        if node.get_type_name() not in (*WEIGHTED_OPS, "Constant", "Parameter", "Result")
        and not node.get_friendly_name().startswith(prefixes)
    ]


def keep_coordinates_fp32(model: Any, network_modules: Sequence[str]) -> None:
    """Have OpenVINO compute coordinates in float32 where the network computes in bf16.

    The mark is the one by which OpenVINO's own passes keep parts of a model from being
    compressed to 16 bits.
    """
    for node in coordinate_ops(model, network_modules):
        node.rt_info["precise_0"] = ""


def _nms(context: Any) -> list[Any]:
    """torchvision's suppression, with as many results as there are; OpenVINO's own pads by -1."""
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
    """``Tensor.index_fill``, which OpenVINO does not know."""
    ops = import_openvino_module("opset14")
    values, dim, index, value = (context.get_input(input_index) for input_index in range(4))
    updates = ops.broadcast(ops.convert_like(value, values), ops.shape_of(index))
    return [ops.scatter_update(values, index, updates, dim).output(0)]
