"""Which engines this machine has, and in which precisions they compute here."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import NamedTuple

from detkit.errors import ExportError, MissingExtraError

PRECISIONS = ("f32", "bf16", "f16", "int8")
EXPORT_INT8 = ("run: detkit export CHECKPOINT --precision int8 --data PATH --out DIR, and give "
               "DIR instead of it")
# Missing ones are told with the extra that brings them.
EXTRAS = {"openvino": "openvino", "onnxruntime": "onnx"}


class EngineState(NamedTuple):
    """What one engine can do here.

    Args:
        name: 'torch', 'torch.compile', 'openvino', 'onnxruntime' or 'tensorrt'.
        precisions: in which it computes with the machine's own instructions; empty where it does
            not run at all.
        reason: why it does not run, one clause; None where it does.
    """

    name: str
    precisions: tuple[str, ...]
    reason: str | None = None


def available_engines(device: str = "auto") -> list[EngineState]:
    """All engines, those that run on ``device`` with their precisions, the others with why not.

    Args:
        device: 'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        DetkitError: there is no such device.
    """
    kind = device_kind(device)
    return [_torch(kind), _compiled(kind), _openvino(kind), _onnxruntime(kind), _tensorrt(kind)]


def require(name: str, precision: str, device: str = "auto") -> None:
    """Do nothing where the engine runs in ``precision`` here.

    Raises:
        MissingExtraError: its library is not installed.
        ExportError: there is no such engine, or it does not run so on this machine.
    """
    states = {state.name: state for state in available_engines(device)}
    if name not in states:
        raise ExportError("engine", got=f"'{name}'", expected=f"auto, {', '.join(states)}")
    if precision not in PRECISIONS:
        raise ExportError("precision", got=f"'{precision}'",
                          expected=f"auto, {', '.join(PRECISIONS)}")
    if name in EXTRAS and find_spec(name) is None:
        raise MissingExtraError(name, EXTRAS[name])
    state = states[name]
    if state.reason is not None:
        raise ExportError(f"the engine {name} does not run here: {state.reason}")
    if precision not in state.precisions:
        raise ExportError(
            f"the engine {name} on this machine", got=f"precision {precision}",
            expected=f"one that it computes in: {', '.join(state.precisions)}",
        )


def require_any(precision: str, device: str = "auto") -> None:
    """Do nothing where some engine that ``engine='auto'`` tries runs in ``precision`` here.

    int8 is none of them: it needs calibration, which an export does.

    Raises:
        ExportError: there is no such precision, or none runs so on this machine.
    """
    if precision == "int8":
        raise ExportError("int8 of a checkpoint", expected="an exported folder", do=EXPORT_INT8)
    require("torch", precision, device)


def device_kind(device: str) -> str:
    """'cpu' or 'cuda', 'auto' decided.

    Raises:
        DetkitError: there is no such device.
    """
    import torch

    from detkit.engine.devices import check_device

    kind, _ = check_device(device)
    return ("cuda" if torch.cuda.is_available() else "cpu") if kind == "auto" else kind


def device_name(device: str) -> str:
    """What torch calls a device: 'cpu', 'cuda' or 'cuda:N', 'auto' decided.

    Raises:
        DetkitError: there is no such device.
    """
    kind = device_kind(device)
    return device if ":" in device else kind


def _torch(kind: str) -> EngineState:
    return EngineState("torch", _torch_precisions(kind))


def _torch_precisions(kind: str) -> tuple[str, ...]:
    from detkit.engine.optim.amp import computes_in_bf16

    half = ("bf16",) if computes_in_bf16(kind) else ()
    return ("f32", *half, "f16") if kind == "cuda" else ("f32", *half)


def _compiled(kind: str) -> EngineState:
    name = "torch.compile"
    if kind == "cuda":
        if find_spec("triton") is None:
            return EngineState(name, (), "the library 'triton' is not installed")
    elif not any(shutil.which(one) for one in (os.environ.get("CXX", ""), "g++", "clang++") if one):
        return EngineState(name, (), "there is no C++ compiler")
    return EngineState(name, _torch_precisions(kind))


def _openvino(kind: str) -> EngineState:
    if find_spec("openvino") is None:
        return EngineState("openvino", (), "the library 'openvino' is not installed")
    if kind != "cpu":
        return EngineState("openvino", (), "it runs on the CPU, and another device is asked for")
    from detkit.engine.optim.amp import allows_bf16
    from detkit.inference.engines.openvino.core import openvino_core

    capable = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    half = ("bf16",) if "BF16" in capable and allows_bf16() else ()
    return EngineState("openvino", ("f32", *half, "int8"))


def _onnxruntime(kind: str) -> EngineState:
    name = "onnxruntime"
    missing = [one for one in (name, "onnx", "onnxscript") if find_spec(one) is None]
    if missing:
        return EngineState(name, (), f"the library '{missing[0]}' is not installed")
    from detkit.inference.engines.no_telemetry import import_onnxruntime

    providers = import_onnxruntime().get_available_providers()
    if kind == "cuda" and "CUDAExecutionProvider" not in providers:
        return EngineState(name, (), "this build of it does not know the GPU")
    return EngineState(name, ("f32",))


def _tensorrt(kind: str) -> EngineState:
    if find_spec("tensorrt") is None:
        return EngineState("tensorrt", (), "the library 'tensorrt' is not installed")
    if kind != "cuda":
        return EngineState("tensorrt", (), "it needs an NVIDIA GPU")
    return EngineState("tensorrt", ("f32", "f16"))
