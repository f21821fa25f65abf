"""Checks of the inputs and outputs of graph files and engines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.errors import DetkitError, ExportError, is_out_of_memory
from detkit.inference.engines.engine import Engine, RawDetections
from detkit.inference.engines.input_batch import INPUT_NAMES, OUTPUT_NAMES, dummy_batch

REEXPORT_HINT = "export the checkpoint again"


class Port(NamedTuple):
    """An input or output of a graph.

    Args:
        name: None if the library reports none.
        dtype: numpy's name of its type.
        shape: None for a dynamic dimension; None as a whole for a dynamic rank.
    """

    name: str | None
    dtype: str
    shape: tuple[int | None, ...] | None


def check_ports(
    path: Path | str, input_hw: tuple[int, int], inputs: Sequence[Port], outputs: Sequence[Port]
) -> None:
    """Check that a file's graph takes images of ``input_hw`` and returns detections.

    Raises:
        ExportError: it does not.
    """
    expected_inputs = [("uint8", (None, *input_hw, 3)), ("int64", (None, 2))]
    expected_outputs = [("float32", (None, None, 4)), ("float32", (None, None)),
                        ("int64", (None, None)), ("int64", (None, ))]
    for direction, actual, names, expected in (("inputs", inputs, INPUT_NAMES, expected_inputs),
                                               ("outputs", outputs, OUTPUT_NAMES,
                                                expected_outputs)):
        if tuple(item.name for item in actual) != names:
            raise ExportError(f"{path}: its {direction}", hint=REEXPORT_HINT,
                              expected=", ".join(names),
                              got=_truncate(", ".join(str(item.name) for item in actual) or "none"))
        for port, (dtype, shape) in zip(actual, expected):
            if port.dtype != dtype or not _shapes_match(port.shape, shape):
                raise ExportError(
                    f"{path}: {port.name}", got=f"{port.dtype} {_format_shape(port.shape)}",
                    expected=f"{dtype} {_format_shape(shape)}", hint=REEXPORT_HINT)


def _shapes_match(actual: tuple[int | None, ...] | None, expected: Sequence[int | None]) -> bool:
    return actual is None or len(actual) == len(expected) and all(
        item is None or other is None or item == other for item, other in zip(actual, expected))


def _format_shape(shape: Sequence[int | None] | None) -> str:
    if shape is None:
        return "of any shape"
    return _truncate("of shape (" + ", ".join("?" if item is None else str(item)
                                              for item in shape) + ")")


def _truncate(text: str) -> str:
    return text if len(text) <= 100 else text[:100] + "..."


def try_engine(engine: Engine, path: Path, max_results: int | None = None) -> None:
    """Run an engine once on a synthetic image, and check its outputs.

    Args:
        engine: the engine of a file.
        path: the file.
        max_results: the expected number of results per image, with padding; None for any.

    Raises:
        ExportError: the engine fails, or its outputs are not valid.
    """
    actual = run_and_check(engine, *dummy_batch(engine.input_hw, 1), display_name=str(path))
    capacity = actual.boxes.shape[1]
    if max_results is not None and capacity != max_results:
        raise ExportError(f"{path}: maximum number of results per image", got=capacity,
                          expected=f"{max_results}, as the folder says", hint=REEXPORT_HINT)


def run_and_check(
    engine: Engine, images: NDArray[np.uint8], image_hw: NDArray[np.int64],
    display_name: str | None = None,
) -> RawDetections:
    """Run an engine on a batch, and check the shapes, dtypes and counts of its outputs.

    Args:
        engine: the engine.
        images, image_hw: as of `Engine`.
        display_name: the name of the engine in messages; None for its own name.

    Raises:
        ExportError: the engine fails, or its outputs are not valid.
    """
    hint = "name another engine by --engine" if display_name is None else REEXPORT_HINT
    display_name = display_name or f"the engine {engine.name}"
    try:
        actual = engine(images, image_hw)
    except DetkitError:
        raise
    except Exception as error:  # every library has its own exceptions
        if is_out_of_memory(error):
            raise
        raise ExportError(f"{display_name}: inference failed", hint=hint, got=(
            f"{type(error).__name__}: {' '.join(str(error).split())[-200:]}")) from error
    batch = len(images)
    capacity = actual.boxes.shape[1] if actual.boxes.ndim == 3 else 0
    for name, expected, dtype in (
        ("boxes", (batch, capacity, 4), "float32"),
        ("scores", (batch, capacity), "float32"),
        ("labels", (batch, capacity), "int64"),
        ("counts", (batch,), "int64"),
    ):
        item = getattr(actual, name)
        if item.shape != expected or item.dtype != dtype:
            raise ExportError(f"{display_name}: {name}",
                              got=f"{item.dtype} {_format_shape(item.shape)}",
                              expected=f"{dtype} {_format_shape(expected)}", hint=hint)
    if batch and not 0 <= actual.counts.min() <= actual.counts.max() <= capacity:
        raise ExportError(f"{display_name}: counts", expected=f"0 to {capacity}", hint=hint,
                          got=f"{actual.counts.min()} to {actual.counts.max()}")
    return actual
