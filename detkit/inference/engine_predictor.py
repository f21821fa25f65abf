"""``EnginePredictor``: inference with a checkpoint or an exported folder, by an engine."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.inference.base_predictor import BasePredictor
from detkit.inference.detection_postprocess import postprocess_detections
from detkit.inference.engines.engine import Engine, RawDetections
from detkit.inference.engines.ports import run_and_check, try_engine
from detkit.inference.export.input_sizes import (
    Size,
    resize_spec_for_sizes,
    select_input_hw,
    square_input,
)
from detkit.inference.letterbox import LetterboxedImage, ResizeSpec, letterbox
from detkit.inference.predictor_protocol import DETECTION, Image
from detkit.structures.detections import Detections
from detkit.trust import trust_enabled, trust_files

# Engines that a checkpoint gets, one per input size; other sizes go to one square input.
MAX_ENGINES = 4
MAX_TIMINGS = 10_000


class Timings(NamedTuple):
    """Milliseconds of one call: preprocessing, inference and postprocessing."""

    pre: float
    engine: float
    post: float


class EnginePredictor(BasePredictor[Detections]):
    """Run inference on images with an inference engine; safe to call from several threads.

    Use `from_checkpoint` or `from_folder` to create one.

    Args:
        engine_factory: returns the engine for an input size (height, width); its second argument
            is a letterboxed image of that size, to time engines with.
        resize_spec: how images are resized to the input size.
        classes: name of each label.
        input_sizes: the input sizes to choose from, at least one; None for those that the images
            need.
        score_threshold: detections below it are dropped; from 0 to 1.
        num_streams: number of threads that call the predictor at the same time.
        batch_size: maximum number of images in one call of the engine.

    Attributes:
        task: 'detection'.
        classes, score_threshold: as above; the threshold may be changed between calls.
        num_streams: as above; 1 after the first engine is created if it does not divide the cores.
        engine_name, precision, input_hw: of the engine that was created first; None before.

    Raises:
        ValueError: a threshold outside 0..1, or num_streams or batch_size below 1.
    """

    task = DETECTION

    def __init__(
        self,
        engine_factory: Callable[[Size, NDArray[np.uint8]], Engine],
        resize_spec: ResizeSpec,
        classes: Sequence[str],
        input_sizes: Sequence[Size] | None = None,
        score_threshold: float = 0.3,
        num_streams: int = 1,
        batch_size: int = 8,
    ) -> None:
        super().__init__(score_threshold, batch_size)
        if num_streams < 1:
            raise ValueError(f"num_streams: got {num_streams}, expected at least 1")
        self.classes = tuple(classes)
        self.num_streams = num_streams
        self.engine_name: str | None = None
        self.precision: str | None = None
        self.input_hw: Size | None = None
        self._engine_factory = engine_factory
        self._resize_spec = resize_spec
        self._input_sizes = tuple(input_sizes) if input_sizes is not None else None
        self._engines: dict[Size, Engine] = {}
        self._reserved: set[Size] = set()
        self._lock = threading.Lock()
        self._thread_local = threading.local()
        self._history: deque[Timings] = deque(maxlen=MAX_TIMINGS)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: str | Path,
        engine: str = "auto",
        precision: str = "auto",
        size: Size | int | None = None,
        original_hw: Size | None = None,
        device: str = "auto",
        score_threshold: float = 0.3,
        num_streams: int = 1,
        batch_size: int = 8,
        max_proposals: int | None = None,
        trust: bool = False,
    ) -> EnginePredictor:
        """Create engines from a trained checkpoint, one for each input size that images need.

        Args:
            checkpoint: a detector's checkpoint.
            engine: 'torch', 'torch.compile', 'openvino', 'onnxruntime', 'tensorrt', or 'auto'
                for the fastest available one, found by timing.
            precision: 'f32', 'bf16', 'f16', or 'auto' for float32, or bf16 where that is faster.
            size: (height, width) of the engine's input, or the longer side of the resized images;
                None for the size of the checkpoint's test pipeline.
            original_hw: height and width of the images to come, whose engine is created now;
                None to create it at the first image.
            device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
            score_threshold, num_streams, batch_size: as of the class.
            max_proposals: maximum number of RPN proposals passed to the RoI head; None for the
                config's.
            trust: allow the checkpoint to execute code, for files from a trusted source only.

        Raises:
            WeightsError: the file is not such a checkpoint.
            MissingExtraError: a library is not installed.
            ExportError: the model has no static graph, or the engine does not run here.
        """
        from detkit.inference.export.checkpoint_engines import CheckpointEngines

        with trust_files(trust or trust_enabled()):
            source = CheckpointEngines(Path(checkpoint), engine, precision, num_streams, device,
                                       max_proposals)
        sizes = [] if size is None else [size]
        resize_spec = resize_spec_for_sizes(source.resize_spec, sizes)
        input_sizes = [size] if isinstance(size, tuple) else None
        predictor = cls(source.engine, resize_spec, source.classes, input_sizes, score_threshold,
                        num_streams, batch_size)
        if original_hw is not None:
            predictor.prepare(original_hw)
        return predictor

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        engine: str = "auto",
        device: str = "auto",
        score_threshold: float = 0.3,
        num_streams: int = 1,
        batch_size: int = 8,
        original_hw: Size | None = None,
    ) -> EnginePredictor:
        """Load the engines of a folder that ``detkit export`` wrote.

        Args:
            folder: the folder; its files are validated first.
            engine: an engine that runs the folder's format; 'auto' for the default one.
            device, score_threshold, num_streams, batch_size, original_hw: as of `from_checkpoint`.

        Raises:
            MissingExtraError: a library is not installed.
            ExportError: the folder is not valid, or its engine does not run here.
        """
        from detkit.inference.export.graph_file import read_graph
        from detkit.inference.export.manifest import read_manifest

        manifest = read_manifest(Path(folder))

        def engine_factory(input_hw: Size, sample_image: NDArray[np.uint8]) -> Engine:
            path = Path(folder, manifest.graphs[input_hw])
            new_engine = read_graph(manifest.format, path, input_hw, manifest.precision, engine,
                                    num_streams, device)
            try_engine(new_engine, path, manifest.max_results)
            return new_engine

        predictor = cls(engine_factory, manifest.resize_spec, manifest.classes,
                        tuple(manifest.graphs), score_threshold, num_streams, batch_size)
        predictor.prepare(original_hw or next(iter(manifest.graphs)))
        return predictor

    @property
    def timings(self) -> Timings | None:
        """Timings of the calling thread's last call, for all its images; None before the first."""
        return getattr(self._thread_local, "timings", None)

    def median_timings(self) -> Timings | None:
        """Median timings of the last 10,000 calls of all threads; None before the first."""
        with self._lock:
            history = list(self._history)
        return Timings(*(median(column) for column in zip(*history))) if history else None

    def prepare(self, original_hw: Size) -> None:
        """Create the engine for images of ``original_hw`` (height, width) now."""
        from detkit.inference.engines.input_batch import dummy_batch

        input_hw = self._input_hw_for(original_hw)
        self._engine(input_hw, dummy_batch(input_hw, 1)[0][0])

    def summary(self) -> str:
        """One line: engine, precision, input size and streams."""
        streams = f"{self.num_streams} stream" + ("" if self.num_streams == 1 else "s")
        if self.input_hw is None:
            return f"an engine created at the first image, {streams}"
        size = f"{self.input_hw[0]}x{self.input_hw[1]}"
        return f"{self.engine_name} {self.precision} {size}, {streams}"

    def close(self) -> None:
        """Release the engines; the next call creates them again."""
        with self._lock:
            engines, self._engines = list(self._engines.values()), {}
            self._reserved.clear()
        for engine in engines:
            engine.close()

    def _predict(self, images: Iterator[Image]) -> list[Detections]:
        loaded = list(images)
        spent = [0.0, 0.0, 0.0]
        detections: list[Detections | None] = [None] * len(loaded)
        groups: dict[Size, list[int]] = {}
        for index, image in enumerate(loaded):
            groups.setdefault(self._input_hw_for(image.shape[:2]), []).append(index)
        for input_hw, indices in groups.items():
            for start in range(0, len(indices), self._batch_size):
                chunk = indices[start:start + self._batch_size]
                times = [time.perf_counter()]
                letterboxed = [
                    letterbox(loaded[index], input_hw, self._resize_spec) for index in chunk
                ]
                batch_images = np.stack([item.canvas for item in letterboxed])
                image_sizes = np.array([item.image_hw for item in letterboxed], np.int64)
                engine = self._engine(input_hw, batch_images[0])
                times.append(time.perf_counter())
                raw = run_and_check(engine, batch_images, image_sizes)
                times.append(time.perf_counter())
                for row, (index, item) in enumerate(zip(chunk, letterboxed)):
                    detections[index] = self._detections(raw, row, item)
                times.append(time.perf_counter())
                for stage in range(3):
                    spent[stage] += (times[stage + 1] - times[stage]) * 1000
        self._thread_local.timings = Timings(*spent)
        with self._lock:
            self._history.append(self._thread_local.timings)
        return [item for item in detections if item is not None]

    def _input_hw_for(self, original_hw: tuple[int, ...]) -> Size:
        size = (original_hw[0], original_hw[1])
        if self._input_sizes is not None:
            return select_input_hw(self._resize_spec, size, self._input_sizes)
        input_hw = self._resize_spec.input_hw_for(size)
        with self._lock:
            # Reserved before they are created: threads may need several before the first is ready.
            if input_hw in self._reserved or len(self._reserved) < MAX_ENGINES - 1:
                self._reserved.add(input_hw)
                return input_hw
        return square_input(self._resize_spec)

    def _engine(self, input_hw: Size, sample_image: NDArray[np.uint8]) -> Engine:
        with self._lock:
            if input_hw not in self._engines:
                engine = self._engine_factory(input_hw, sample_image)
                self._engines[input_hw] = engine
                if self.input_hw is None:
                    self.engine_name, self.precision = engine.name, engine.precision
                    self.input_hw = input_hw
                    self.num_streams = engine.num_streams
            return self._engines[input_hw]

    def _detections(self, raw: RawDetections, row: int,
                    letterboxed: LetterboxedImage) -> Detections:
        count = int(raw.counts[row])
        scale_x, scale_y = letterboxed.scale_xy
        scale = np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
        return postprocess_detections(raw.boxes[row, :count] / scale, raw.scores[row, :count],
                                      raw.labels[row, :count], letterboxed.original_hw,
                                      len(self.classes)).filter_by_score(self.score_threshold)
