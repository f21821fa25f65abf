"""A checkpoint on the bench: its static graphs, and looks through each engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.config.pipeline_cfg import get_test_pipeline_cfg
from detkit.errors import DetkitError, ExportError
from detkit.inference.benchmark.layer_times import Batch, openvino_layer_times, torch_layer_times
from detkit.inference.detection_adapter import DetectionAdapter
from detkit.inference.engine_predictor import EnginePredictor
from detkit.inference.engines.build import build_engine
from detkit.inference.engines.engine import Engine
from detkit.inference.export.checkpoint_graphs import CheckpointGraphs
from detkit.inference.export.input_sizes import Size, resize_spec_for_sizes
from detkit.inference.letterbox import ResizeSpec, letterbox
from detkit.structures.detections import Detections

Image = NDArray[np.uint8]
PredictFn = Callable[[Sequence[Any]], list[Detections]]


@dataclass(frozen=True)
class BenchmarkCase:
    """An engine, a precision and a size to be measured.

    Args:
        engine: 'torch', 'torch.compile', 'openvino', 'onnxruntime' or 'tensorrt'.
        precision: 'f32', 'bf16', 'f16' or 'int8'.
        size: as ``detkit export --size`` has it; None for the checkpoint's own.
    """

    engine: str
    precision: str
    size: Size | int | None


class BenchmarkTarget:
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
        from detkit.inference.engines.availability import resolve_device

        self._device = device
        self._graphs = CheckpointGraphs(checkpoint, resolve_device(device), max_proposals)
        self.calibration: Sequence[Image] = ()
        self._models: dict[tuple[Size, str], Any] = {}
        self.classes = self._graphs.classes
        self.cfg = self._graphs.cfg

    def canvas(self, size: Size | int | None, original_hw: Size) -> Size:
        """The canvas that a picture goes to at ``size``."""
        if isinstance(size, tuple):
            return size
        return self._resize_spec(size).input_hw_for(original_hw)

    def check_size(self, size: Size | int | None) -> None:
        """Do nothing where the network takes a canvas of ``size``.

        Raises:
            ExportError: a side is no multiple of what the network needs.
        """
        divisor = self._graphs.resize_spec.divisor
        if isinstance(size, tuple) and any(side % divisor for side in size):
            raise ExportError("--size", got=f"{size[0]}x{size[1]}",
                              expected=f"height x width in multiples of {divisor}")

    def _resize_spec(self, size: Size | int | None) -> ResizeSpec:
        return resize_spec_for_sizes(self._graphs.resize_spec, [] if size is None else [size])

    def mmdet(self, size: Size | int | None) -> PredictFn:
        """The checkpoint in mmdet's own hands, one picture at a time as its users run it."""
        pipeline = get_test_pipeline_cfg(self.cfg)
        if size is not None:
            pipeline = [_resize_step(step, self._resize_spec(size)) for step in pipeline]
        adapter = DetectionAdapter(self._graphs.model, pipeline, len(self.classes))
        return lambda images: [adapter.predict([adapter.prepare(image)])[0] for image in images]

    def predictor(self, case: BenchmarkCase, num_streams: int, threshold: float) -> EnginePredictor:
        """A predictor over the engine of ``case``.

        Raises:
            DetkitError: the engine does not run here, or not in this precision.
        """
        def engine_factory(canvas: Size, sample_image: Image) -> Engine:
            return self._engine(case, canvas, num_streams)

        resize_spec = self._resize_spec(case.size)
        canvases = [case.size] if isinstance(case.size, tuple) else None
        return EnginePredictor(engine_factory, resize_spec, self.classes, canvases, threshold,
                               num_streams)

    def shares(self, case: BenchmarkCase, image: Image) -> dict[str, float]:
        """The parts' shares of the engine's time on one picture; empty where none can be had."""
        canvas = self.canvas(case.size, (image.shape[0], image.shape[1]))
        letterboxed = letterbox(image, canvas, self._resize_spec(case.size))
        batch: Batch = (letterboxed.canvas[None], np.array([letterboxed.image_hw], np.int64))
        if case.engine == "openvino":
            return openvino_layer_times(self._model(canvas, case), batch, case.precision)
        if case.engine == "torch" and case.precision == "f32":
            return torch_layer_times(self._graphs.graph(canvas), batch)
        return {}

    def _engine(self, case: BenchmarkCase, canvas: Size, num_streams: int) -> Engine:
        if case.engine != "openvino":
            return build_engine(case.engine, self._graphs.graph(canvas), canvas, case.precision,
                                num_streams, self._device)
        from detkit.inference.engines.availability import ensure_engine_available
        from detkit.inference.engines.openvino.engine import OpenVinoEngine

        ensure_engine_available("openvino", case.precision, self._device)
        return OpenVinoEngine(self._model(canvas, case), canvas, case.precision, num_streams)

    def _model(self, canvas: Size, case: BenchmarkCase) -> Any:
        """The OpenVINO model of a canvas, float32 or quantised; bf16 is the float32 one."""
        from detkit.inference.engines.openvino.convert import (
            build_openvino_model,
            network_modules_of,
        )

        kind = "int8" if case.precision == "int8" else "f32"
        if (canvas, kind) not in self._models:
            graph = self._graphs.graph(canvas)
            if kind == "f32":
                model = build_openvino_model(graph, canvas)
            else:
                from detkit.inference.engines.openvino.int8 import quantize

                if not self.calibration:
                    raise DetkitError("int8 needs pictures to be calibrated with",
                                      hint="name a folder with a train split by --data")
                resize_spec = self._resize_spec(case.size)
                letterboxed = [letterbox(image, canvas, resize_spec) for image in self.calibration]
                model = quantize(self._model(canvas, replace(case, precision="f32")),
                                 network_modules_of(graph),
                                 [(item.canvas, item.image_hw) for item in letterboxed])
            self._models[canvas, kind] = model
        return self._models[canvas, kind]


def _resize_step(step: Mapping[str, Any], resize_spec: ResizeSpec) -> dict[str, Any]:
    """A step of a test pipeline as the rule has it, for pictures of another size."""
    kind = str(step.get("type"))
    if kind.endswith("Resize"):
        return {**step, "scale": resize_spec.scale}
    if kind.endswith(
            "Pad") and resize_spec.border is not None and resize_spec.border.size_hw is not None:
        height, width = resize_spec.border.size_hw
        return {**step, "size": (width, height)}
    return dict(step)
