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
from detkit.inference.detection_postprocess import as_detections
from detkit.inference.engines.engine import Engine, RawDetections
from detkit.inference.engines.ports import run_checked, try_engine
from detkit.inference.export.input_sizes import Size, canvas_of, rule_for, square
from detkit.inference.letterbox import Fitted, InputRule, fit
from detkit.inference.predictor import DETECTION, ImageLike, as_array
from detkit.structures.detections import Detections
from detkit.trust import trusting_files, trusts_files

# Engines of a checkpoint, each for a canvas of its own; pictures beyond go to a square one.
MOST_ENGINES = 4
REMEMBERED = 10_000


class Timings(NamedTuple):
    """Where the time of a call went, in milliseconds: onto the canvases, looking, and back."""

    fit: float
    engine: float
    post: float


class EnginePredictor:
    """Look at images through an engine; safe to call from several threads.

    Made by `from_checkpoint` or `from_folder`.

    Args:
        make: gives the engine of a canvas; the picture on a canvas is there to be tried on.
        rule: how pictures are brought to the canvas.
        classes: the names that labels index.
        canvases: those to choose from, at least one; None for whatever pictures need.
        score_threshold: detections below it are left out; from 0 to 1.
        streams: calls, each from a thread of its own, to be served side by side.
        batch: at most so many images in one call of the engine.

    Attributes:
        task: 'detection'.
        classes, score_threshold: as above; the threshold may be changed between calls.
        streams: as above; an engine that divides no cores makes it 1 when it is made.
        engine_name, precision, canvas_hw: of the engine that was made first; None before.

    Raises:
        ValueError: a threshold outside 0..1, or fewer than one stream or image in a batch.
    """

    task = DETECTION

    def __init__(
        self,
        make: Callable[[Size, NDArray[np.uint8]], Engine],
        rule: InputRule,
        classes: Sequence[str],
        canvases: Sequence[Size] | None = None,
        score_threshold: float = 0.3,
        streams: int = 1,
        batch: int = 8,
    ) -> None:
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold: got {score_threshold}, expected 0 to 1")
        for name, value in (("streams", streams), ("batch", batch)):
            if value < 1:
                raise ValueError(f"{name}: got {value}, expected at least 1")
        self.classes = tuple(classes)
        self.score_threshold = score_threshold
        self.streams = streams
        self.engine_name: str | None = None
        self.precision: str | None = None
        self.canvas_hw: Size | None = None
        self._make = make
        self._rule = rule
        self._canvases = tuple(canvases) if canvases is not None else None
        self._batch = batch
        self._engines: dict[Size, Engine] = {}
        self._promised: set[Size] = set()
        self._lock = threading.Lock()
        self._here = threading.local()
        self._history: deque[Timings] = deque(maxlen=REMEMBERED)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        engine: str = "auto",
        precision: str = "auto",
        size: Size | int | None = None,
        image_hw: Size | None = None,
        device: str = "auto",
        score_threshold: float = 0.3,
        streams: int = 1,
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
            image_hw: height and width of the pictures to come, whose engine is then made at
                once; None to wait for the first.
            device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
            score_threshold, streams, batch: as of the class.
            max_proposals: of a two-stage detector, at most so many proposals reach its second
                stage; None for as many as its config says.
            trust: of a file whose maker you trust: code in it may be executed.

        Raises:
            WeightsError: the file is no such checkpoint.
            MissingExtraError: a library is not installed.
            ExportError: the model has no static form, or the engine does not run so here.
        """
        from detkit.inference.export.checkpoint_engines import CheckpointEngines

        with trusting_files(trust or trusts_files()):
            source = CheckpointEngines(Path(path), engine, precision, streams, device,
                                       max_proposals)
        sizes = [] if size is None else [size]
        rule = rule_for(source.rule, sizes)
        canvases = [size] if isinstance(size, tuple) else None
        made = cls(source.engine, rule, source.classes, canvases, score_threshold, streams, batch)
        if image_hw is not None:
            made.prepare(image_hw)
        return made

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        engine: str = "auto",
        device: str = "auto",
        score_threshold: float = 0.3,
        streams: int = 1,
        batch: int = 8,
        image_hw: Size | None = None,
    ) -> EnginePredictor:
        """Take the engines of a folder that ``detkit export`` wrote.

        Args:
            folder: the folder; what is in it is checked first.
            engine: one that runs its format; 'auto' for the usual one.
            device, score_threshold, streams, batch, image_hw: as of `from_checkpoint`.

        Raises:
            MissingExtraError: a library is not installed.
            ExportError: the folder is not whole, or its engine does not run here.
        """
        from detkit.inference.export.graph_file import read_graph
        from detkit.inference.export.manifest import read_manifest

        held = read_manifest(Path(folder))

        def make(canvas_hw: Size, probe: NDArray[np.uint8]) -> Engine:
            path = Path(folder, held.graphs[canvas_hw])
            made = read_graph(held.format, path, canvas_hw, held.precision, engine, streams, device)
            try_engine(made, path, held.max_results)
            return made

        made = cls(make, held.rule, held.classes, tuple(held.graphs), score_threshold, streams,
                   batch)
        made.prepare(image_hw or next(iter(held.graphs)))
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
            return self._look([as_array(image, "image")])[0]
        if not isinstance(image, Sequence):
            raise DataError(
                "image", got=type(image).__name__,
                expected="an (H, W, 3) uint8 RGB array, a path, or a sequence of these",
            )
        return self._look([as_array(one, f"image {place}") for place, one in enumerate(image)])

    @property
    def timings(self) -> Timings | None:
        """Milliseconds of the calling thread's last call, of all its images; None before one."""
        return getattr(self._here, "timings", None)

    def median_timings(self) -> Timings | None:
        """Median milliseconds of a call, of the last 10,000 of all threads; None before one."""
        with self._lock:
            history = list(self._history)
        return Timings(*(median(column) for column in zip(*history))) if history else None

    def prepare(self, image_hw: Size) -> None:
        """Make the engine for pictures of ``image_hw`` (height, width) now."""
        from detkit.inference.engines.input_batch import example

        canvas = self._canvas_for(image_hw)
        self._engine(canvas, example(canvas, 1)[0][0])

    def describe(self) -> str:
        """One line: engine, precision, canvas and streams."""
        streams = f"{self.streams} stream" + ("" if self.streams == 1 else "s")
        if self.canvas_hw is None:
            return f"an engine made for the first picture, {streams}"
        size = f"{self.canvas_hw[0]}x{self.canvas_hw[1]}"
        return f"{self.engine_name} {self.precision} {size}, {streams}"

    def close(self) -> None:
        """Let go of the engines; the next call makes them anew."""
        with self._lock:
            engines, self._engines = list(self._engines.values()), {}
            self._promised.clear()
        for engine in engines:
            engine.close()

    def _look(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        spent = [0.0, 0.0, 0.0]
        found: list[Detections | None] = [None] * len(images)
        groups: dict[Size, list[int]] = {}
        for place, image in enumerate(images):
            groups.setdefault(self._canvas_for(image.shape[:2]), []).append(place)
        for canvas, places in groups.items():
            for begin in range(0, len(places), self._batch):
                part = places[begin:begin + self._batch]
                times = [time.perf_counter()]
                fitted = [fit(images[place], canvas, self._rule) for place in part]
                pictures = np.stack([one.canvas for one in fitted])
                valid = np.array([one.valid_hw for one in fitted], np.int64)
                engine = self._engine(canvas, pictures[0])
                times.append(time.perf_counter())
                raw = run_checked(engine, pictures, valid)
                times.append(time.perf_counter())
                for row, (place, one) in enumerate(zip(part, fitted)):
                    found[place] = self._detections(raw, row, one)
                times.append(time.perf_counter())
                for stage in range(3):
                    spent[stage] += (times[stage + 1] - times[stage]) * 1000
        self._here.timings = Timings(*spent)
        with self._lock:
            self._history.append(self._here.timings)
        return [one for one in found if one is not None]

    def _canvas_for(self, image_hw: tuple[int, ...]) -> Size:
        size = (image_hw[0], image_hw[1])
        if self._canvases is not None:
            return canvas_of(self._rule, size, self._canvases)
        wanted = self._rule.canvas_for(size)
        with self._lock:
            # Counted when they are promised: threads may ask for several before one is made.
            if wanted in self._promised or len(self._promised) < MOST_ENGINES - 1:
                self._promised.add(wanted)
                return wanted
        return square(self._rule)

    def _engine(self, canvas: Size, probe: NDArray[np.uint8]) -> Engine:
        with self._lock:
            if canvas not in self._engines:
                made = self._make(canvas, probe)
                self._engines[canvas] = made
                if self.canvas_hw is None:
                    self.engine_name, self.precision = made.name, made.precision
                    self.canvas_hw = canvas
                    self.streams = made.streams
            return self._engines[canvas]

    def _detections(self, raw: RawDetections, row: int, fitted: Fitted) -> Detections:
        count = int(raw.counts[row])
        across, down = fitted.scale_xy
        scale = np.array([across, down, across, down], np.float32)
        return as_detections(raw.boxes[row, :count] / scale, raw.scores[row, :count],
                             raw.labels[row, :count], fitted.image_hw,
                             len(self.classes)).above(self.score_threshold)
