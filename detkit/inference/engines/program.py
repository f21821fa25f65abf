"""A static graph as a ``torch.export`` program: one file of weights and operators.

The format has room for pickled objects, which might be code; a file with such is refused.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detkit.errors import ExportError
from detkit.inference.engines.batch import example

MOST_IMAGES = 1024
DATA_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # torch.load, wherever it is called, heeds it


def exported_program(graph: nn.Module, canvas_hw: tuple[int, int]) -> Any:
    """The ``torch.export.ExportedProgram`` of a static graph, for batches of any size.

    Args:
        graph: the static graph, in eval mode.
        canvas_hw: height and width of its canvases in pixels.

    Raises:
        ExportError: torch cannot follow the graph.
    """
    device = next(graph.parameters()).device
    inputs = tuple(torch.from_numpy(one).to(device) for one in example(canvas_hw))
    batch = torch.export.Dim("batch", min=1, max=MOST_IMAGES)
    with quiet(), torch.no_grad():
        try:
            return torch.export.export(graph, inputs, dynamic_shapes=({0: batch}, {0: batch}))
        except Exception as error:  # torch's own tracers raise whatever they stumble upon
            said = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise ExportError("torch.export cannot follow the model", got=said[0]) from error


def save_program(program: Any, path: Path) -> None:
    """Write a program as a .pt2 file."""
    with quiet():
        torch.export.save(program, str(path))


def load_program(path: Path, device: str = "cpu") -> nn.Module:
    """The module of a .pt2 file.

    Args:
        path: the file.
        device: 'cpu', 'cuda' or 'cuda:N'; what the program makes on its way is made there too.

    Raises:
        ExportError: the file is none, or holds more than tensors.
    """
    # The operators that the program may name are registered by this.
    import torchvision  # noqa: F401

    with quiet():
        try:
            with _data_only():
                program = torch.export.load(str(path))
            if device != "cpu":
                from torch.export.passes import move_to_device_pass

                program = move_to_device_pass(program, device)
            module: nn.Module = program.module()
        except Exception as error:  # of zip, json or torch, as the file is broken
            raise ExportError(f"{path}: no program that torch can read",
                              got=f"{type(error).__name__}: {error}"[:200],
                              do="export it again") from error
    return module


@contextmanager
def _data_only() -> Iterator[None]:
    before = os.environ.get(DATA_ONLY)
    os.environ[DATA_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[DATA_ONLY]
        else:
            os.environ[DATA_ONLY] = before


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what torch's tracers tell their developers."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnxscript")]
    before = [one.level for one in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in loggers:
            one.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for one, level in zip(loggers, before):
                one.setLevel(level)
