"""A static graph as a ``torch.export`` program, from which files of it are written."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from detkit.errors import ExportError
from detkit.inference.engines.input_batch import example

MOST_IMAGES = 1024


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
