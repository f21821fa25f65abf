"""Cache of the choices of ``engine='auto'``, so that engines are timed once per model and machine.

A choice is a small json file in detkit's cache folder. It names an engine and a precision, nothing
that is executed, and is valid for one machine, one set of library versions, one checkpoint and one
input size. Remove the folder ``engines`` of the cache to time engines again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from detkit.data.synthetic.sample import cache_dir
from detkit.files import compute_sha256
from detkit.inference.output_folder import atomic_write_text
from detkit.machine.cpu_limits import num_cores

logger = logging.getLogger(__name__)
FOLDER = "engines"
LIBRARIES = ("detkit", "torch", "torchvision", "openvino", "onnxruntime", "tensorrt")
# Environment variables that limit the instructions or threads of the libraries.
VARIABLES = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class CachedEngineChoice:
    """The engine and precision that were the fastest.

    Args:
        engine: 'torch', 'openvino', 'onnxruntime' or 'tensorrt'.
        precision: 'f32', 'bf16' or 'f16'.
    """

    engine: str
    precision: str


def choice_cache_path(checkpoint: Path, device: str = "cpu", **settings: object) -> Path | None:
    """The file of a choice; None if the user has no cache folder.

    Args:
        checkpoint: the model's file; its content is part of the key.
        device: 'cpu', 'cuda' or 'cuda:N'.
        **settings: everything else that the choice depends on: sizes, precision and the like.

    Raises:
        OSError: the checkpoint cannot be read.
    """
    try:
        folder = cache_dir() / FOLDER
    except RuntimeError:  # a user without a home folder, as in containers
        return None
    key = {"checkpoint": compute_sha256(checkpoint), "device": device, "asked": settings,
           **_machine(device)}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
    return folder / f"{digest[:32]}.json"


def read_cached_choice(path: Path | None) -> CachedEngineChoice | None:
    """The cached choice; None if there is none or the file is not valid."""
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        choice = CachedEngineChoice(content["engine"], content["precision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return choice if all(isinstance(value, str) for value in asdict(choice).values()) else None


def write_cached_choice(path: Path, choice: CachedEngineChoice,
                        milliseconds: Mapping[str, float]) -> None:
    """Write a choice, with the measured times; an error of the file system is logged only."""
    content = {**asdict(choice),
               "milliseconds": {name: round(value, 3) for name, value in milliseconds.items()}}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        logger.debug("cannot write the choice of an engine to the cache: %s", error)


def _machine(device: str) -> dict[str, Any]:
    gpu = None
    if device != "cpu":  # the query creates a context on the GPU
        import torch

        gpu = torch.cuda.get_device_name(device)
    return {
        "processor": _processor(), "cores": num_cores(), "gpu": gpu,
        "libraries": {name: _version(name) for name in LIBRARIES},
        "variables": {name: os.environ.get(name) for name in VARIABLES},
    }


def _processor(cpu_info: Path = Path("/proc/cpuinfo")) -> list[str]:
    try:
        lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return [platform.machine(), platform.processor()]
    prefixes = ("model name", "flags", "features", "cpu part")
    return sorted({line for line in lines if line.lower().startswith(prefixes)})


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
