"""A checkpoint on the bench: its static graphs, and looks through each engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.config.test_pipeline import pipeline_of
from detkit.errors import DetkitError, ExportError
from detkit.inference.benchmark.layer_times import Batch, openvino_shares, torch_shares
from detkit.inference.detection_adapter import SampleAdapter
from detkit.inference.engine_predictor import EnginePredictor
from detkit.inference.engines.build import build_engine
from detkit.inference.engines.engine import Engine
from detkit.inference.export.checkpoint_graphs import CheckpointGraphs
from detkit.inference.export.input_sizes import Size, rule_for
from detkit.inference.letterbox import InputRule, fit
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
        from detkit.inference.engines.availability import device_name

        self._device = device
        self._graphs = CheckpointGraphs(checkpoint, device_name(device), max_proposals)
        self.calibration: Sequence[Image] = ()
        self._models: dict[tuple[Size, str], Any] = {}
        self.classes = self._graphs.classes
        self.cfg = self._graphs.cfg

    def canvas(self, size: Size | int | None, image_hw: Size) -> Size:
        """The canvas that a picture goes to at ``size``."""
        if isinstance(size, tuple):
            return size
        return self._rule(size).canvas_for(image_hw)

    def check_size(self, size: Size | int | None) -> None:
        """Do nothing where the network takes a canvas of ``size``.

        Raises:
            ExportError: a side is no multiple of what the network needs.
        """
        divisor = self._graphs.rule.divisor
        if isinstance(size, tuple) and any(side % divisor for side in size):
            raise ExportError("--size", got=f"{size[0]}x{size[1]}",
                              expected=f"height x width in multiples of {divisor}")

    def _rule(self, size: Size | int | None) -> InputRule:
        return rule_for(self._graphs.rule, [] if size is None else [size])

    def mmdet(self, size: Size | int | None) -> Look:
        """The checkpoint in mmdet's own hands, one picture at a time as its users run it."""
        pipeline = pipeline_of(self.cfg)
        if size is not None:
            pipeline = [_resized(step, self._rule(size)) for step in pipeline]
        adapter = SampleAdapter(self._graphs.model, pipeline, len(self.classes))
        return lambda images: [adapter.look([adapter.prepare(image)])[0] for image in images]

    def predictor(self, entry: Entry, streams: int, threshold: float) -> EnginePredictor:
        """A predictor over the engine of ``entry``.

        Raises:
            DetkitError: the engine does not run here, or not in this precision.
        """
        def make(canvas: Size, probe: Image) -> Engine:
            return self._engine(entry, canvas, streams)

        rule = self._rule(entry.size)
        canvases = [entry.size] if isinstance(entry.size, tuple) else None
        return EnginePredictor(make, rule, self.classes, canvases, threshold, streams)

    def shares(self, entry: Entry, image: Image) -> dict[str, float]:
        """The parts' shares of the engine's time on one picture; empty where none can be had."""
        canvas = self.canvas(entry.size, (image.shape[0], image.shape[1]))
        fitted = fit(image, canvas, self._rule(entry.size))
        batch: Batch = (fitted.canvas[None], np.array([fitted.valid_hw], np.int64))
        if entry.engine == "openvino":
            return openvino_shares(self._model(canvas, entry), batch, entry.precision)
        if entry.engine == "torch" and entry.precision == "f32":
            return torch_shares(self._graphs.graph(canvas), batch)
        return {}

    def _engine(self, entry: Entry, canvas: Size, streams: int) -> Engine:
        if entry.engine != "openvino":
            return build_engine(entry.engine, self._graphs.graph(canvas), canvas, entry.precision,
                                streams, self._device)
        from detkit.inference.engines.availability import require
        from detkit.inference.engines.openvino.engine import OpenVinoEngine

        require("openvino", entry.precision, self._device)
        return OpenVinoEngine(self._model(canvas, entry), canvas, entry.precision, streams)

    def _model(self, canvas: Size, entry: Entry) -> Any:
        """The OpenVINO model of a canvas, float32 or quantised; bf16 is the float32 one."""
        from detkit.inference.engines.openvino.convert import openvino_model, parts_of

        kind = "int8" if entry.precision == "int8" else "f32"
        if (canvas, kind) not in self._models:
            graph = self._graphs.graph(canvas)
            if kind == "f32":
                made = openvino_model(graph, canvas)
            else:
                from detkit.inference.engines.openvino.int8 import quantised

                if not self.calibration:
                    raise DetkitError("int8 needs pictures to be calibrated with",
                                      do="name a folder with a train split by --data")
                rule = self._rule(entry.size)
                fitted = [fit(image, canvas, rule) for image in self.calibration]
                made = quantised(self._model(canvas, replace(entry, precision="f32")),
                                 parts_of(graph),
                                 [(one.canvas, one.valid_hw) for one in fitted])
            self._models[canvas, kind] = made
        return self._models[canvas, kind]


def _resized(step: Mapping[str, Any], rule: InputRule) -> dict[str, Any]:
    """A step of a test pipeline as the rule has it, for pictures of another size."""
    kind = str(step.get("type"))
    if kind.endswith("Resize"):
        return {**step, "scale": rule.scale}
    if kind.endswith("Pad") and rule.border is not None and rule.border.size_hw is not None:
        high, wide = rule.border.size_hw
        return {**step, "size": (wide, high)}
    return dict(step)
