"""Create engines of a checkpoint, one per input size, all with the same library."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from detkit.errors import DetkitError
from detkit.inference.engines.availability import (
    ensure_engine_available,
    ensure_precision_available,
    resolve_device,
)
from detkit.inference.engines.build import build_engine
from detkit.inference.engines.choice_cache import (
    CachedEngineChoice,
    choice_cache_path,
    read_cached_choice,
    write_cached_choice,
)
from detkit.inference.engines.engine import Engine
from detkit.inference.engines.engine_choice import choose_engine
from detkit.inference.export.checkpoint_graphs import CheckpointGraphs

logger = logging.getLogger(__name__)


class CheckpointEngines:
    """Creates engines of a checkpoint's static graphs.

    Args:
        path: the checkpoint.
        name: name of the engine, or 'auto', which is resolved at the first input size for all.
        precision: 'f32', 'bf16', 'f16' or 'auto', which is resolved likewise.
        num_streams: number of concurrent calls.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        max_proposals: as of `CheckpointGraphs`.

    Attributes:
        classes, resize_spec: as of `CheckpointGraphs`.

    Raises:
        WeightsError: the file is not such a checkpoint.
        MissingExtraError: the engine's library is not installed.
        ExportError: there is no such engine, it does not run here, or the model has no static
            graph.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        precision: str,
        num_streams: int,
        device: str,
        max_proposals: int | None = None,
    ) -> None:
        if name != "auto":
            ensure_engine_available(name, "f32" if precision == "auto" else precision, device)
        elif precision != "auto":
            ensure_precision_available(precision, device)
        self._path, self._max_proposals = path, max_proposals
        self._name, self._precision = name, precision
        self._num_streams, self._device = num_streams, device
        self._graphs = CheckpointGraphs(path, resolve_device(device), max_proposals)
        self.classes = self._graphs.classes
        self.resize_spec = self._graphs.resize_spec

    def engine(self, input_hw: tuple[int, int], sample_image: NDArray[np.uint8]) -> Engine:
        """The engine for an input size; 'auto' is timed on ``sample_image`` (H, W, 3) uint8 RGB."""
        graph = self._graphs.graph(input_hw)
        if self._name == "auto":
            engine = self._choose(graph, input_hw, sample_image)
            self._name, self._precision = engine.name, engine.precision
            return engine
        precision = "f32" if self._precision == "auto" else self._precision
        return build_engine(self._name, graph, input_hw, precision, self._num_streams, self._device)

    def _choose(
        self, graph: nn.Module, input_hw: tuple[int, int], sample_image: NDArray[np.uint8]
    ) -> Engine:
        """The fastest engine, from the cache or by timing."""
        cache_path = choice_cache_path(
            self._path, input_hw=input_hw, precision=self._precision, num_streams=self._num_streams,
            device=resolve_device(self._device), max_proposals=self._max_proposals,
        )
        cached = read_cached_choice(cache_path)
        if cached is not None:
            try:
                return build_engine(cached.engine, graph, input_hw, cached.precision,
                                    self._num_streams, self._device)
            except (DetkitError, RuntimeError) as error:
                logger.warning("%s %s, the cached choice, does not run: %s; engines are timed "
                               "again", cached.engine, cached.precision, error)
        choice = choose_engine(graph, input_hw, self._precision, self._num_streams, self._device,
                               sample_image)
        if cache_path is not None and choice.cacheable:
            cached = CachedEngineChoice(choice.engine.name, choice.engine.precision)
            write_cached_choice(cache_path, cached, choice.milliseconds)
        return choice.engine
