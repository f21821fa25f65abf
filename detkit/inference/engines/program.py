"""A static graph as a ``torch.export`` program."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from detkit.errors import ExportError
from detkit.inference.engines.input_batch import dummy_batch

MAX_BATCH_SIZE = 1024


def export_program(graph: nn.Module, input_hw: tuple[int, int]) -> Any:
    """The ``torch.export.ExportedProgram`` of a static graph, for batches of any size.

    Args:
        graph: the static graph, in eval mode.
        input_hw: height and width of its input in pixels.

    Raises:
        ExportError: torch cannot export the graph.
    """
    device = next(graph.parameters()).device
    inputs = tuple(torch.from_numpy(item).to(device) for item in dummy_batch(input_hw))
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH_SIZE)
    with quiet(), torch.no_grad():
        try:
            return torch.export.export(graph, inputs, dynamic_shapes=({0: batch}, {0: batch}))
        except Exception as error:  # torch's tracers raise many types
            message = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise ExportError("torch.export does not support the model", got=message[0]) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and logs of torch's tracers, which are for their developers."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnxscript")]
    levels = [item.level for item in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for item in loggers:
            item.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for item, level in zip(loggers, levels):
                item.setLevel(level)
