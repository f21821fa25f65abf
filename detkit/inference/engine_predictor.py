"""``EnginePredictor``: a checkpoint or an exported folder, looking at images by an engine."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from detkit.errors import DataError
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
from detkit.inference.predictor import DETECTION, ImageLike, load_image_array
from detkit.structures.detections import Detections
from detkit.trust import trust_enabled, trust_files

# Engines of a checkpoint, each for a canvas of its own; pictures beyond go to a square one.
MAX_ENGINES = 4
MAX_TIMINGS = 10_000


class Timings(NamedTuple):
    """Where the time of a call went, in milliseconds: onto the canvases, looking, and back."""

    pre: float
    engine: float
    post: float


class EnginePredictor:
    """Look at images through an engine; safe to call from several threads.

    Made by `from_checkpoint` or `from_folder`.

    Args:
        engine_factory: gives the engine of a canvas; the picture on a canvas is there to be tried
            on.
        resize_spec: how pictures are brought to the canvas.
        classes: the names that labels index.
        input_sizes: those to choose from, at least one; None for whatever pictures need.
        score_threshold: detections below it are left out; from 0 to 1.
        num_streams: calls, each from a thread of its own, to be served side by side.
        batch: at most so many images in one call of the engine.

    Attributes:
        task: 'detection'.
        classes, score_threshold: as above; the threshold may be changed between calls.
        num_streams: as above; an engine that divides no cores makes it 1 when it is made.
        engine_name, precision, input_hw: of the engine that was made first; None before.

    Raises:
        ValueError: a threshold outside 0..1, or fewer than one stream or image in a batch.
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
        batch: int = 8,
    ) -> None:
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold: got {score_threshold}, expected 0 to 1")
        for name, value in (("num_streams", num_streams), ("batch", batch)):
            if value < 1:
                raise ValueError(f"{name}: got {value}, expected at least 1")
        self.classes = tuple(classes)
        self.score_threshold = score_threshold
        self.num_streams = num_streams
        self.engine_name: str | None = None
        self.precision: str | None = None
        self.input_hw: Size | None = None
        self._engine_factory = engine_factory
        self._resize_spec = resize_spec
        self._input_sizes = tuple(input_sizes) if input_sizes is not None else None
        self._batch = batch
        self._engines: dict[Size, Engine] = {}
        self._reserved: set[Size] = set()
        self._lock = threading.Lock()
        self._thread_local = threading.local()
        self._history: deque[Timings] = deque(maxlen=MAX_TIMINGS)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        engine: str = "auto",
        precision: str = "auto",
        size: Size | int | None = None,
        original_hw: Size | None = None,
        device: str = "auto",
        score_threshold: float = 0.3,
        num_streams: int = 1,
        batch: int = 8,
        max_proposals: int | None = None,
        trust: bool = False,
    ) -> EnginePredictor:
        """Make engines of a trained checkpoint as pictures need them.

        Args:
            path: a detector's checkpoint.
            engine: 'torch', 'torch.compile', 'openvino', 'onnxruntime', 'tensorrt', or 'auto'
                for the fastest that the machine has, found by trying.
            precision: 'f32', 'bf16', 'f16', or 'auto' for float32, or bf16 where that is faster.
            size: (height, width) of the canvas, or the longer side of the pictures; None for
                what the checkpoint was tested at.
            original_hw: height and width of the pictures to come, whose engine is then made at
                once; None to wait for the first.
            device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
            score_threshold, num_streams, batch: as of the class.
            max_proposals: of a two-stage detector, at most so many proposals reach its second
                stage; None for as many as its config says.
            trust: of a file whose maker you trust: code in it may be executed.

        Raises:
            WeightsError: the file is no such checkpoint.
            MissingExtraError: a library is not installed.
            ExportError: the model has no static form, or the engine does not run so here.
        """
        from detkit.inference.export.checkpoint_engines import CheckpointEngines

        with trust_files(trust or trust_enabled()):
            source = CheckpointEngines(Path(path), engine, precision, num_streams, device,
                                       max_proposals)
        sizes = [] if size is None else [size]
        resize_spec = resize_spec_for_sizes(source.resize_spec, sizes)
        input_sizes = [size] if isinstance(size, tuple) else None
        made = cls(source.engine, resize_spec, source.classes, input_sizes, score_threshold,
                   num_streams, batch)
        if original_hw is not None:
            made.prepare(original_hw)
        return made

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        engine: str = "auto",
        device: str = "auto",
        score_threshold: float = 0.3,
        num_streams: int = 1,
        batch: int = 8,
        original_hw: Size | None = None,
    ) -> EnginePredictor:
        """Take the engines of a folder that ``detkit export`` wrote.

        Args:
            folder: the folder; what is in it is checked first.
            engine: one that runs its format; 'auto' for the usual one.
            device, score_threshold, num_streams, batch, original_hw: as of `from_checkpoint`.

        Raises:
            MissingExtraError: a library is not installed.
            ExportError: the folder is not whole, or its engine does not run here.
        """
        from detkit.inference.export.graph_file import read_graph
        from detkit.inference.export.manifest import read_manifest

        manifest = read_manifest(Path(folder))

        def engine_factory(input_hw: Size, sample_image: NDArray[np.uint8]) -> Engine:
            path = Path(folder, manifest.graphs[input_hw])
            made = read_graph(manifest.format, path, input_hw, manifest.precision, engine,
                              num_streams, device)
            try_engine(made, path, manifest.max_results)
            return made

        made = cls(engine_factory, manifest.resize_spec, manifest.classes, tuple(manifest.graphs),
                   score_threshold, num_streams, batch)
        made.prepare(original_hw or next(iter(manifest.graphs)))
        return made

    @overload
    def __call__(self, image: ImageLike) -> Detections: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, image: Sequence[ImageLike]) -> list[Detections]: ...

    def __call__(self, image: ImageLike | Sequence[ImageLike]) -> Detections | list[Detections]:
        """What is found in one image, or in each of several, in their order.

        Args:
            image: (H, W, 3) uint8 RGB, or the path of an image file, or a sequence of either.

        Returns:
            Boxes in pixels of the image as it was given, clipped to it, highest score first. An
            empty sequence gives an empty list.

        Raises:
            DataError: an array of another kind, or a file that is not a readable image.
            ExportError: there is no engine for it.
        """
        if isinstance(image, (str, Path, np.ndarray)):
            return self._predict([load_image_array(image, "image")])[0]
        if not isinstance(image, Sequence):
            raise DataError(
                "image", got=type(image).__name__,
                expected="an (H, W, 3) uint8 RGB array, a path, or a sequence of these",
            )
        return self._predict(
            [load_image_array(item, f"image {index}") for index, item in enumerate(image)])

    @property
    def timings(self) -> Timings | None:
        """DurationHistogram of the calling thread's last call, of all its images; None before one."""
        return getattr(self._thread_local, "timings", None)

    def median_timings(self) -> Timings | None:
        """Median milliseconds of a call, of the last 10,000 of all threads; None before one."""
        with self._lock:
            history = list(self._history)
        return Timings(*(median(column) for column in zip(*history))) if history else None

    def prepare(self, original_hw: Size) -> None:
        """Make the engine for pictures of ``original_hw`` (height, width) now."""
        from detkit.inference.engines.input_batch import dummy_batch

        input_hw = self._input_hw_for(original_hw)
        self._engine(input_hw, dummy_batch(input_hw, 1)[0][0])

    def summary(self) -> str:
        """One line: engine, precision, canvas and streams."""
        num_streams = f"{self.num_streams} stream" + ("" if self.num_streams == 1 else "s")
        if self.input_hw is None:
            return f"an engine made for the first picture, {num_streams}"
        size = f"{self.input_hw[0]}x{self.input_hw[1]}"
        return f"{self.engine_name} {self.precision} {size}, {num_streams}"

    def close(self) -> None:
        """Let go of the engines; the next call makes them anew."""
        with self._lock:
            engines, self._engines = list(self._engines.values()), {}
            self._reserved.clear()
        for engine in engines:
            engine.close()

    def _predict(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        spent = [0.0, 0.0, 0.0]
        detections: list[Detections | None] = [None] * len(images)
        groups: dict[Size, list[int]] = {}
        for index, image in enumerate(images):
            groups.setdefault(self._input_hw_for(image.shape[:2]), []).append(index)
        for input_hw, indices in groups.items():
            for start in range(0, len(indices), self._batch):
                chunk = indices[start:start + self._batch]
                times = [time.perf_counter()]
                letterboxed = [
                    letterbox(images[index], input_hw, self._resize_spec) for index in chunk
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
            # Counted when they are promised: threads may ask for several before one is made.
            if input_hw in self._reserved or len(self._reserved) < MAX_ENGINES - 1:
                self._reserved.add(input_hw)
                return input_hw
        return square_input(self._resize_spec)

    def _engine(self, input_hw: Size, sample_image: NDArray[np.uint8]) -> Engine:
        with self._lock:
            if input_hw not in self._engines:
                made = self._engine_factory(input_hw, sample_image)
                self._engines[input_hw] = made
                if self.input_hw is None:
                    self.engine_name, self.precision = made.name, made.precision
                    self.input_hw = input_hw
                    self.num_streams = made.num_streams
            return self._engines[input_hw]

    def _detections(self, raw: RawDetections, row: int,
                    letterboxed: LetterboxedImage) -> Detections:
        count = int(raw.counts[row])
        scale_x, scale_y = letterboxed.scale_xy
        scale = np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
        return postprocess_detections(raw.boxes[row, :count] / scale, raw.scores[row, :count],
                                      raw.labels[row, :count], letterboxed.original_hw,
                                      len(self.classes)).filter_by_score(self.score_threshold)
