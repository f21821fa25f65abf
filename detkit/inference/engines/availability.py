"""Which engines this machine has, and in which precisions they compute here."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import NamedTuple

from detkit.errors import ExportError, MissingExtraError

PRECISIONS = ("f32", "bf16", "f16", "int8")
INT8_EXPORT_HINT = (
    "run: detkit export CHECKPOINT --precision int8 --data PATH --out DIR, and give "
    "DIR instead of it")
# Missing ones are told with the extra that brings them.
EXTRAS = {"openvino": "openvino", "onnxruntime": "onnx"}


class EngineAvailability(NamedTuple):
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


def available_engines(device: str = "auto") -> list[EngineAvailability]:
    """All engines, those that run on ``device`` with their precisions, the others with why not.

    Args:
        device: 'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        DetkitError: there is no such device.
    """
    device_type = resolve_device_type(device)
    return [
        _torch(device_type),
        _torch_compile(device_type),
        _openvino(device_type),
        _onnxruntime(device_type),
        _tensorrt(device_type)
    ]


def ensure_engine_available(name: str, precision: str, device: str = "auto") -> None:
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


def ensure_precision_available(precision: str, device: str = "auto") -> None:
    """Do nothing where some engine that ``engine='auto'`` tries runs in ``precision`` here.

    int8 is none of them: it needs calibration, which an export does.

    Raises:
        ExportError: there is no such precision, or none runs so on this machine.
    """
    if precision == "int8":
        raise ExportError("int8 of a checkpoint", expected="an exported folder",
                          hint=INT8_EXPORT_HINT)
    ensure_engine_available("torch", precision, device)


def resolve_device_type(device: str) -> str:
    """'cpu' or 'cuda', 'auto' decided.

    Raises:
        DetkitError: there is no such device.
    """
    import torch

    from detkit.engine.devices import parse_device

    device_type, _ = parse_device(device)
    return (
        "cuda" if torch.cuda.is_available() else "cpu") if device_type == "auto" else device_type


def resolve_device(device: str) -> str:
    """What torch calls a device: 'cpu', 'cuda' or 'cuda:N', 'auto' decided.

    Raises:
        DetkitError: there is no such device.
    """
    device_type = resolve_device_type(device)
    return device if ":" in device else device_type


def _torch(device_type: str) -> EngineAvailability:
    return EngineAvailability("torch", _torch_precisions(device_type))


def _torch_precisions(device_type: str) -> tuple[str, ...]:
    from detkit.engine.optim.amp import is_bf16_supported

    half = ("bf16",) if is_bf16_supported(device_type) else ()
    return ("f32", *half, "f16") if device_type == "cuda" else ("f32", *half)


def _torch_compile(device_type: str) -> EngineAvailability:
    name = "torch.compile"
    if device_type == "cuda":
        if find_spec("triton") is None:
            return EngineAvailability(name, (), "the library 'triton' is not installed")
    elif not any(
            shutil.which(item) for item in (os.environ.get("CXX", ""), "g++", "clang++") if item):
        return EngineAvailability(name, (), "there is no C++ compiler")
    return EngineAvailability(name, _torch_precisions(device_type))


def _openvino(device_type: str) -> EngineAvailability:
    if find_spec("openvino") is None:
        return EngineAvailability("openvino", (), "the library 'openvino' is not installed")
    if device_type != "cpu":
        return EngineAvailability("openvino", (),
                                  "it runs on the CPU, and another device is asked for")
    from detkit.engine.optim.amp import onednn_allows_bf16
    from detkit.inference.engines.openvino.shared_core import openvino_core

    capabilities = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    half = ("bf16",) if "BF16" in capabilities and onednn_allows_bf16() else ()
    return EngineAvailability("openvino", ("f32", *half, "int8"))


def _onnxruntime(device_type: str) -> EngineAvailability:
    name = "onnxruntime"
    missing = [item for item in (name, "onnx", "onnxscript") if find_spec(item) is None]
    if missing:
        return EngineAvailability(name, (), f"the library '{missing[0]}' is not installed")
    from detkit.inference.engines.no_telemetry import import_onnxruntime

    providers = import_onnxruntime().get_available_providers()
    if device_type == "cuda" and "CUDAExecutionProvider" not in providers:
        return EngineAvailability(name, (), "this build of it does not know the GPU")
    return EngineAvailability(name, ("f32",))


def _tensorrt(device_type: str) -> EngineAvailability:
    if find_spec("tensorrt") is None:
        return EngineAvailability("tensorrt", (), "the library 'tensorrt' is not installed")
    if device_type != "cuda":
        return EngineAvailability("tensorrt", (), "it needs an NVIDIA GPU")
    return EngineAvailability("tensorrt", ("f32", "f16"))
