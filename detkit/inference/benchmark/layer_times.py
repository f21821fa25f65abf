"""Which part of a static graph takes how much of its time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

# A graph's modules by what detectors call them; the first that fits, so inner ones come first.
COMPONENTS = (
    ("rpn.nms", "NMS"),
    ("roi_head.nms", "NMS"),
    ("bbox_head.nms", "NMS"),
    ("feature_extractor.preprocessor", "normalise"),
    ("feature_extractor.backbone", "backbone"),
    ("feature_extractor.neck", "neck"),
    ("rpn", "RPN"),
    ("roi_head", "RoI heads"),
    ("bbox_head", "head"),
)
NAMES = ("backbone", "neck", "RPN", "RoI heads", "head", "NMS", "normalise", "other")
RUNS = 10
Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


def component_of(module: str) -> str:
    """The part that a module of a static graph belongs to, 'other' for none.

    Args:
        module: its dotted name in the graph, as 'roi_head.stages.0.head'.
    """
    for prefix, component in COMPONENTS:
        if module == prefix or module.startswith(f"{prefix}."):
            return component
    return "other"


def openvino_layer_times(model: Any, batch: Batch, precision: str = "f32") -> dict[str, float]:
    """Each part's share of an OpenVINO model's time on one thread, from its own counters.

    Args:
        model: the ``openvino.Model`` of a static graph.
        batch: canvases and their valid sizes.
        precision: 'f32', 'bf16', or 'int8' of a model that was quantised.

    Returns:
        part to share; they sum to 1, and parts that take nothing are left out.
    """
    from detkit.inference.engines.openvino.shared_core import openvino_core
    from detkit.inference.engines.openvino.engine import PRECISION_HINTS

    options = {"PERF_COUNT": "YES", "INFERENCE_NUM_THREADS": "1", "NUM_STREAMS": "1",
               "INFERENCE_PRECISION_HINT": PRECISION_HINTS[precision]}
    request = openvino_core().compile_model(model, "CPU", options).create_infer_request()
    spent: dict[str, float] = {}
    for iteration in range(RUNS + 2):
        request.infer(list(batch))
        if iteration < 2:
            continue
        for node in request.get_profiling_info():
            name = str(node.node_name)
            component = "other"
            if "__module." in name:
                component = component_of(name.split("__module.", 1)[1].split("/", 1)[0])
            spent[component] = spent.get(component, 0.0) + node.real_time.total_seconds()
    return _normalize(spent)


def torch_layer_times(graph: nn.Module, batch: Batch) -> dict[str, float]:
    """Each part's share of a static graph's time in eager torch, on the device that holds it.

    Args:
        graph: the static graph.
        batch: canvases and their valid sizes.

    Returns:
        as of `openvino_layer_times`.
    """
    device = next(graph.parameters()).device
    modules = dict(graph.named_modules())
    timed = [name for name, _ in COMPONENTS if name in modules]
    spent: dict[str, float] = {}
    inputs = [torch.from_numpy(item).to(device) for item in batch]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        for name in timed:
            stack.enter_context(_timed(modules[name], name, spent, device))
        for iteration in range(RUNS + 2):
            if iteration == 2:
                spent.clear()
            start = _now(device)
            graph(*inputs)
            spent[""] = spent.get("", 0.0) + _now(device) - start
    # What lies within another part is taken out of it.
    self_times = dict(spent)
    for name in spent:
        enclosing = [
            outer for outer in spent
            if outer != name and (not outer or name.startswith(f"{outer}."))
        ]
        if enclosing:
            self_times[max(enclosing, key=len)] -= spent[name]
    component_times: dict[str, float] = {}
    for name, seconds in self_times.items():
        component = component_of(name) if name else "other"
        component_times[component] = component_times.get(component, 0.0) + max(0.0, seconds)
    return _normalize(component_times)


@contextmanager
def _timed(
    module: nn.Module, name: str, spent: dict[str, float], device: torch.device
) -> Iterator[None]:
    start: list[float] = []
    before = module.register_forward_pre_hook(lambda *_: start.append(_now(device)))

    def add(*_: Any) -> None:
        spent[name] = spent.get(name, 0.0) + _now(device) - start.pop()

    after = module.register_forward_hook(add)
    try:
        yield
    finally:
        before.remove()
        after.remove()


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _normalize(spent: dict[str, float]) -> dict[str, float]:
    total = sum(spent.values())
    if total <= 0:
        return {}
    return {name: spent[name] / total for name in NAMES if spent.get(name, 0.0) > 0}
