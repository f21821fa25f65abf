"""A checkpoint on the bench: its static graphs, and looks through each engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import DetkitError
from detkit.inference.benchmark.shares import Batch, openvino_shares, torch_shares
from detkit.inference.engine_predictor import EnginePredictor
from detkit.inference.engines.build import build_engine
from detkit.inference.engines.engine import Engine
from detkit.inference.export.checkpoint_graphs import CheckpointGraphs
from detkit.inference.export.sizes import Size, rule_for
from detkit.inference.fit import fit
from detkit.inference.image_pipeline import pipeline_of
from detkit.inference.sample_adapter import SampleAdapter
from detkit.structures.detections import Detections

Image = NDArray[np.uint8]
Look = Callable[[Sequence[Any]], list[Detections]]


@dataclass(frozen=True)
class Entry:
    """An engine, a precision and a size to be measured.

    Args:
        engine: 'torch', 'torch.compile', 'openvino', 'onnxruntime' or 'tensorrt'.
        precision: 'f32', 'bf16', 'f16' or 'int8'.
        size: as ``detkit export --size`` has it; None for the checkpoint's own.
    """

    engine: str
    precision: str
    size: Size | int | None


class Subject:
    """Makes looks of one checkpoint; what is converted once is kept.

    Args:
        checkpoint: a detector's.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        max_proposals: of a two-stage detector; None for the config's. mmdet's look keeps to the
            config.

    Attributes:
        calibration: pictures that int8 is calibrated with, to be set before.
        classes, cfg: of the checkpoint.
        kind: 'cpu' or 'cuda'.

    Raises:
        WeightsError: the file is no such checkpoint.
        ExportError: the model has no static form.
    """

    def __init__(
        self,
        checkpoint: Path,
        device: str,
        max_proposals: int | None = None,
    ) -> None:
        from detkit.inference.engines.available import device_kind

        self._device = device
        self.kind = device_kind(device)
        where = device if ":" in device else self.kind
        self._graphs = CheckpointGraphs(checkpoint, where, max_proposals)
        self.calibration: Sequence[Image] = ()
        self._models: dict[tuple[Size, str], Any] = {}
        self.classes = self._graphs.classes
        self.cfg = self._graphs.cfg

    def canvas(self, size: Size | int | None, image_hw: Size) -> Size:
        """The canvas that a picture goes to at ``size``."""
        if isinstance(size, tuple):
            return size
        return rule_for(self._graphs.rule, [] if size is None else [size]).canvas_for(image_hw)

    def mmdet(self, size: Size | int | None) -> Look:
        """The checkpoint in mmdet's own hands, one picture at a time as its users run it."""
        pipeline = pipeline_of(self.cfg)
        if size is not None:
            scale = rule_for(self._graphs.rule, [size]).scale
            pipeline = [{**step, "scale": scale} if "Resize" in str(step.get("type")) else step
                        for step in pipeline]
        adapter = SampleAdapter(self._graphs.model, pipeline, len(self.classes))
        return lambda images: [adapter.look([adapter.prepare(image)])[0] for image in images]

    def predictor(self, entry: Entry, streams: int, threshold: float) -> EnginePredictor:
        """A predictor over the engine of ``entry``.

        Raises:
            DetkitError: the engine does not run here, or not in this precision.
        """
        def make(canvas: Size, probe: Image) -> Engine:
            return self._engine(entry, canvas, streams)

        rule = rule_for(self._graphs.rule, [] if entry.size is None else [entry.size])
        canvases = [entry.size] if isinstance(entry.size, tuple) else None
        return EnginePredictor(make, rule, self.classes, canvases, threshold, streams)

    def shares(self, entry: Entry, image: Image) -> dict[str, float]:
        """The parts' shares of the engine's time on one picture; empty where none can be had."""
        canvas = self.canvas(entry.size, (image.shape[0], image.shape[1]))
        rule = rule_for(self._graphs.rule, [] if entry.size is None else [entry.size])
        fitted = fit(image, canvas, rule)
        batch: Batch = (fitted.canvas[None], np.array([fitted.valid_hw], np.int64))
        if entry.engine == "openvino":
            return openvino_shares(self._model(canvas, entry.precision), batch)
        if entry.engine == "torch" and entry.precision == "f32":
            return torch_shares(self._graphs.graph(canvas), batch)
        return {}

    def _engine(self, entry: Entry, canvas: Size, streams: int) -> Engine:
        if entry.engine != "openvino":
            return build_engine(entry.engine, self._graphs.graph(canvas), canvas, entry.precision,
                                streams, self._device)
        from detkit.inference.engines.available import require
        from detkit.inference.engines.openvino_engine import OpenVinoEngine

        require("openvino", entry.precision, self._device)
        return OpenVinoEngine(self._model(canvas, entry.precision), canvas, entry.precision,
                              streams)

    def _model(self, canvas: Size, precision: str) -> Any:
        """The OpenVINO model of a canvas, float32 or quantised; bf16 is the float32 one."""
        from detkit.inference.engines.openvino_convert import openvino_model, parts_of

        kind = "int8" if precision == "int8" else "f32"
        if (canvas, kind) not in self._models:
            graph = self._graphs.graph(canvas)
            if kind == "f32":
                made = openvino_model(graph, canvas)
            else:
                from detkit.inference.engines.openvino_int8 import quantised

                if not self.calibration:
                    raise DetkitError("int8 needs pictures to be calibrated with",
                                      do="name a folder with a train split by --data")
                fitted = [fit(image, canvas, self._graphs.rule) for image in self.calibration]
                made = quantised(self._model(canvas, "f32"), parts_of(graph),
                                 [(one.canvas, one.valid_hw) for one in fitted])
            self._models[canvas, kind] = made
        return self._models[canvas, kind]
