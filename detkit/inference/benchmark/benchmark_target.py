"""The checkpoint that a benchmark measures, in mmdet and in each engine."""

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
    """An engine, a precision and a size to measure.

    Args:
        engine: 'torch', 'torch.compile', 'openvino', 'onnxruntime' or 'tensorrt'.
        precision: 'f32', 'bf16', 'f16' or 'int8'.
        size: (height, width) of the input, or the longer side of the resized images; None for the
            size of the checkpoint's test pipeline.
    """

    engine: str
    precision: str
    size: Size | int | None


class BenchmarkTarget:
    """Creates predictors of one checkpoint; converted models are cached.

    Args:
        checkpoint: a detector's checkpoint.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        max_proposals: maximum number of RPN proposals passed to the RoI head, for engines only;
            None for the config's.

    Attributes:
        calibration: images to calibrate int8 with; must be set before an int8 case.
        classes, cfg: of the checkpoint.

    Raises:
        WeightsError: the file is not such a checkpoint.
        ExportError: the model cannot be converted to a static graph.
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

    def input_hw(self, size: Size | int | None, original_hw: Size) -> Size:
        """The input size for an image of ``original_hw`` at ``size``."""
        if isinstance(size, tuple):
            return size
        return self._resize_spec(size).input_hw_for(original_hw)

    def check_size(self, size: Size | int | None) -> None:
        """Check that the network supports an input of ``size``.

        Raises:
            ExportError: a side is not a multiple of the model's divisor.
        """
        divisor = self._graphs.resize_spec.divisor
        if isinstance(size, tuple) and any(side % divisor for side in size):
            raise ExportError("--size", got=f"{size[0]}x{size[1]}",
                              expected=f"height x width in multiples of {divisor}")

    def _resize_spec(self, size: Size | int | None) -> ResizeSpec:
        return resize_spec_for_sizes(self._graphs.resize_spec, [] if size is None else [size])

    def mmdet(self, size: Size | int | None) -> PredictFn:
        """Inference in mmdet, one image at a time."""
        pipeline = get_test_pipeline_cfg(self.cfg)
        if size is not None:
            pipeline = [_resize_step(step, self._resize_spec(size)) for step in pipeline]
        adapter = DetectionAdapter(self._graphs.model, pipeline, len(self.classes))
        return lambda images: [adapter.predict([adapter.prepare(image)])[0] for image in images]

    def predictor(self, case: BenchmarkCase, num_streams: int, threshold: float) -> EnginePredictor:
        """A predictor with the engine of ``case``.

        Raises:
            DetkitError: the engine does not run on this machine or in this precision.
        """
        def engine_factory(input_hw: Size, sample_image: Image) -> Engine:
            return self._engine(case, input_hw, num_streams)

        resize_spec = self._resize_spec(case.size)
        input_sizes = [case.size] if isinstance(case.size, tuple) else None
        return EnginePredictor(engine_factory, resize_spec, self.classes, input_sizes, threshold,
                               num_streams)

    def layer_time_breakdown(self, case: BenchmarkCase, image: Image) -> dict[str, float]:
        """Each component's share of the engine's time on one image; empty if it is not known."""
        input_hw = self.input_hw(case.size, (image.shape[0], image.shape[1]))
        letterboxed = letterbox(image, input_hw, self._resize_spec(case.size))
        batch: Batch = (letterboxed.canvas[None], np.array([letterboxed.image_hw], np.int64))
        if case.engine == "openvino":
            return openvino_layer_times(self._model(input_hw, case), batch, case.precision)
        if case.engine == "torch" and case.precision == "f32":
            return torch_layer_times(self._graphs.graph(input_hw), batch)
        return {}

    def _engine(self, case: BenchmarkCase, input_hw: Size, num_streams: int) -> Engine:
        if case.engine != "openvino":
            return build_engine(case.engine, self._graphs.graph(input_hw), input_hw, case.precision,
                                num_streams, self._device)
        from detkit.inference.engines.availability import ensure_engine_available
        from detkit.inference.engines.openvino.engine import OpenVinoEngine

        ensure_engine_available("openvino", case.precision, self._device)
        return OpenVinoEngine(self._model(input_hw, case), input_hw, case.precision, num_streams)

    def _model(self, input_hw: Size, case: BenchmarkCase) -> Any:
        """The OpenVINO model for an input size, quantized for int8, else float32."""
        from detkit.inference.engines.openvino.convert import (
            build_openvino_model,
            get_network_module_names,
        )

        precision = "int8" if case.precision == "int8" else "f32"
        if (input_hw, precision) not in self._models:
            graph = self._graphs.graph(input_hw)
            if precision == "f32":
                model = build_openvino_model(graph, input_hw)
            else:
                from detkit.inference.engines.openvino.int8 import quantize

                if not self.calibration:
                    raise DetkitError("int8 needs calibration images",
                                      hint="name a folder with a train split by --data")
                resize_spec = self._resize_spec(case.size)
                letterboxed = [
                    letterbox(image, input_hw, resize_spec) for image in self.calibration]
                model = quantize(self._model(input_hw, replace(case, precision="f32")),
                                 get_network_module_names(graph),
                                 [(item.canvas, item.image_hw) for item in letterboxed])
            self._models[input_hw, precision] = model
        return self._models[input_hw, precision]


def _resize_step(step: Mapping[str, Any], resize_spec: ResizeSpec) -> dict[str, Any]:
    """A step of a test pipeline with the sizes of ``resize_spec``."""
    step_type = str(step.get("type"))
    if step_type.endswith("Resize"):
        return {**step, "scale": resize_spec.scale}
    padding = resize_spec.padding
    if step_type.endswith("Pad") and padding is not None and padding.size_hw is not None:
        height, width = padding.size_hw
        return {**step, "size": (width, height)}
    return dict(step)
