"""What a graph's file must take and give, and whether an engine made of it gives that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.errors import DetkitError, ExportError, is_out_of_memory
from detkit.inference.engines.engine import Engine, RawDetections
from detkit.inference.engines.input_batch import NAMES_IN, NAMES_OUT, example

AGAIN = "export the checkpoint again"


class Port(NamedTuple):
    """An input or output of a graph.

    Args:
        name: None where the library gives none.
        dtype: numpy's name of its numbers.
        shape: None for a side that the file leaves open; None as a whole for an open rank.
    """

    name: str | None
    dtype: str
    shape: tuple[int | None, ...] | None


def check_ports(
    path: Path | str, canvas_hw: tuple[int, int], inputs: Sequence[Port], outputs: Sequence[Port]
) -> None:
    """Do nothing where a file's graph takes canvases of ``canvas_hw`` and gives detections.

    Raises:
        ExportError: it does not.
    """
    wanted_in = [("uint8", (None, *canvas_hw, 3)), ("int64", (None, 2))]
    wanted_out = [("float32", (None, None, 4)), ("float32", (None, None)), ("int64", (None, None)),
                  ("int64", (None,))]
    for what, found, names, wanted in (("inputs", inputs, NAMES_IN, wanted_in),
                                       ("outputs", outputs, NAMES_OUT, wanted_out)):
        if tuple(one.name for one in found) != names:
            raise ExportError(f"{path}: its {what}", do=AGAIN, expected=", ".join(names),
                              got=_short(", ".join(str(one.name) for one in found) or "none"))
        for port, (dtype, shape) in zip(found, wanted):
            if port.dtype != dtype or not _fits(port.shape, shape):
                raise ExportError(
                    f"{path}: {port.name}", got=f"{port.dtype} {_shown(port.shape)}",
                    expected=f"{dtype} {_shown(shape)}", do=AGAIN)


def _fits(found: tuple[int | None, ...] | None, wanted: Sequence[int | None]) -> bool:
    return found is None or len(found) == len(wanted) and all(
        one is None or other is None or one == other for one, other in zip(found, wanted))


def _shown(shape: Sequence[int | None] | None) -> str:
    if shape is None:
        return "of any shape"
    return _short("of shape (" + ", ".join("?" if one is None else str(one) for one in shape) + ")")


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:100] + "..."


def try_engine(engine: Engine, path: Path, max_results: int | None = None) -> None:
    """Run an engine of a file once, and do nothing where it gives detections.

    Args:
        engine: made of the file.
        path: the file.
        max_results: how many results it has room for; None for any number.

    Raises:
        ExportError: it cannot be run, or gives something else.
    """
    found = run_checked(engine, *example(engine.canvas_hw, 1), where=str(path))
    room = found.boxes.shape[1]
    if max_results is not None and room != max_results:
        raise ExportError(f"{path}: results of an image", got=f"room for {room}",
                          expected=f"{max_results}, as the folder says", do=AGAIN)


def run_checked(
    engine: Engine, images: NDArray[np.uint8], valid_hw: NDArray[np.int64],
    where: str | None = None,
) -> RawDetections:
    """What an engine gives for a batch, of which the shapes, dtypes and counts are right.

    Args:
        engine: the engine.
        images, valid_hw: as of `Engine`.
        where: what to call the engine in a message; None for its name.

    Raises:
        ExportError: the engine fails, or gives something else.
    """
    do = "name another engine by --engine" if where is None else AGAIN
    where = where or f"the engine {engine.name}"
    try:
        found = engine(images, valid_hw)
    except DetkitError:
        raise
    except Exception as error:  # each library raises what it likes
        if is_out_of_memory(error):
            raise
        raise ExportError(f"{where}: cannot be run", do=do, got=(
            f"{type(error).__name__}: {' '.join(str(error).split())[-200:]}")) from error
    batch = len(images)
    room = found.boxes.shape[1] if found.boxes.ndim == 3 else 0
    for name, wanted, dtype in (("boxes", (batch, room, 4), "float32"),
                                ("scores", (batch, room), "float32"),
                                ("labels", (batch, room), "int64"), ("counts", (batch,), "int64")):
        one = getattr(found, name)
        if one.shape != wanted or one.dtype != dtype:
            raise ExportError(f"{where}: {name}", got=f"{one.dtype} {_shown(one.shape)}",
                              expected=f"{dtype} {_shown(wanted)}", do=do)
    if batch and not 0 <= found.counts.min() <= found.counts.max() <= room:
        raise ExportError(f"{where}: counts", expected=f"0 to {room}", do=do,
                          got=f"{found.counts.min()} to {found.counts.max()}")
    return found
