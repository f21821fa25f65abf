"""A checkpoint as a source of engines, one for each canvas, all by one library."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from detkit.errors import DetkitError
from detkit.inference.engines.availability import device_name, require, require_any
from detkit.inference.engines.build import build_engine
from detkit.inference.engines.choice_cache import (
    EngineChoice,
    choice_file,
    read_choice,
    write_choice,
)
from detkit.inference.engines.engine import Engine
from detkit.inference.engines.engine_choice import choose_engine
from detkit.inference.export.checkpoint_graphs import CheckpointGraphs

logger = logging.getLogger(__name__)


class CheckpointEngines:
    """Makes engines of a checkpoint's static graphs.

    Args:
        path: the checkpoint.
        name: of the engine, or 'auto', which is decided at the first canvas for all.
        precision: 'f32', 'bf16', 'f16' or 'auto'; the same.
        streams: calls to be served side by side.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        max_proposals: as of `CheckpointGraphs`.

    Attributes:
        classes, rule: as of `CheckpointGraphs`.

    Raises:
        WeightsError: the file is no such checkpoint.
        MissingExtraError: the engine's library is not installed.
        ExportError: there is no such engine, it does not run so here, or the model has no static
            form.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        precision: str,
        streams: int,
        device: str,
        max_proposals: int | None = None,
    ) -> None:
        if name != "auto":
            require(name, "f32" if precision == "auto" else precision, device)
        elif precision != "auto":
            require_any(precision, device)
        self._path, self._max_proposals = path, max_proposals
        self._name, self._precision = name, precision
        self._streams, self._device = streams, device
        self._graphs = CheckpointGraphs(path, device_name(device), max_proposals)
        self.classes = self._graphs.classes
        self.rule = self._graphs.rule

    def engine(self, canvas_hw: tuple[int, int], probe: NDArray[np.uint8]) -> Engine:
        """The engine of a canvas; ``probe`` (H, W, 3) is tried on where the choice is open."""
        graph = self._graphs.graph(canvas_hw)
        if self._name == "auto":
            engine = self._chosen(graph, canvas_hw, probe)
            self._name, self._precision = engine.name, engine.precision
            return engine
        precision = "f32" if self._precision == "auto" else self._precision
        return build_engine(self._name, graph, canvas_hw, precision, self._streams, self._device)

    def _chosen(
        self, graph: nn.Module, canvas_hw: tuple[int, int], probe: NDArray[np.uint8]
    ) -> Engine:
        """The fastest engine: the one that was chosen before on this machine, or by trying."""
        kept = choice_file(
            self._path, canvas_hw=canvas_hw, precision=self._precision, streams=self._streams,
            device=device_name(self._device), max_proposals=self._max_proposals,
        )
        before = read_choice(kept)
        if before is not None:
            try:
                return build_engine(before.engine, graph, canvas_hw, before.precision,
                                    self._streams, self._device)
            except (DetkitError, RuntimeError) as error:
                logger.warning("%s %s, chosen before, does not run now: %s; engines are tried "
                               "again", before.engine, before.precision, error)
        chosen = choose_engine(graph, canvas_hw, self._precision, self._streams, self._device,
                               probe)
        if kept is not None and chosen.lasting:
            choice = EngineChoice(chosen.engine.name, chosen.engine.precision)
            write_choice(kept, choice, chosen.milliseconds)
        return chosen.engine
