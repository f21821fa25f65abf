"""Inference on an uploaded video, and its output on the page."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from detkit.app.demo_model import TOP_K, DemoModel, filter_detections
from detkit.app.html import budget, class_bars, status, video_summary_table
from detkit.errors import DetkitError, VideoError
from detkit.inference.predictor_protocol import Image
from detkit.structures.classifications import Classifications
from detkit.structures.detections import Detections

if TYPE_CHECKING:
    from detkit.video.io.frame import Frame
    from detkit.video.io.source import Source
    from detkit.video.run_report import StageTimings

WINDOW = 15  # frames that a classifier's probabilities are averaged over, as in detkit video
PROGRESS_INTERVAL_SECONDS = 0.2

OnProgress = Callable[[int, "int | None"], None]


class RunStopped(DetkitError):
    """A video run was stopped by the user or by the shutdown of the server."""


@dataclass(frozen=True)
class VideoOutput:
    """The output for a video: the annotated video (None for none), and HTML."""

    video: str | None
    results: str
    budget: str
    status: str


@dataclass
class _VideoSummary:
    """The detections and timings of the frames so far."""

    frames: int = 0
    per_class: dict[int, tuple[int, int, float]] = field(default_factory=dict)
    timings: dict[str, list[float]] = field(default_factory=dict)
    last: Classifications | None = None

    def add(self, prediction: Detections | Classifications) -> None:
        self.frames += 1
        if isinstance(prediction, Classifications):
            self.last = prediction
            return
        for label in set(prediction.labels.tolist()):
            scores = prediction.scores[prediction.labels == label]
            frames, max_count, best = self.per_class.get(label, (0, 0, 0.0))
            self.per_class[label] = (frames + 1, max(max_count, len(scores)),
                                     max(best, float(scores.max())))


def predict_video(
    model: DemoModel,
    path: str | None,
    folder: Path,
    threshold: float,
    labels: Sequence[int],
    stop: threading.Event,
    on_progress: OnProgress = lambda done, total: None,
    max_bytes: int | None = None,
) -> VideoOutput:
    """Run inference on all frames of an uploaded video; an error becomes the status line.

    The frames before an error or a stop are shown.

    Args:
        model: the model.
        path: the uploaded file; None if there is none.
        folder: the folder for the annotated video.
        threshold: detections with a lower score are left out; a label with a lower probability is
            shown as 'unsure'.
        labels: the classes to show; empty for all.
        stop: ends the run when it is set.
        on_progress: called several times per second with the number of frames done, and the total.
        max_bytes: maximum size of the annotated video, at which it ends; None for no limit.
    """
    if path is None:
        return VideoOutput(None, "", "", status("select a video first", is_error=True))
    from detkit.video.analytics.score_window import ScoreWindow
    from detkit.video.pipeline import run_video

    out = Path(tempfile.mkdtemp(dir=folder)) / f"{Path(path).stem[:80]}_result.mp4"
    summary, window = _VideoSummary(), ScoreWindow(WINDOW)
    total: int | None = None
    last_update = 0.0

    def on_start(source: Source) -> None:
        nonlocal total
        total = source.info.frame_count

    def predict(images: list[Image]) -> list[Any]:
        if stop.is_set():
            raise RunStopped("stopped")
        predictions: list[Any] = []
        for image in images:
            result = model.predict(image)
            for name, elapsed_ms in result.timings.items():
                summary.timings.setdefault(name, []).append(elapsed_ms)
            predictions.append(result.prediction)
        return predictions

    def refine(prediction: Any, frame: Frame) -> Any:
        if isinstance(prediction, Detections):
            return filter_detections(prediction, threshold, labels)
        return window.add(prediction).smoothed

    def on_frame(index: int, timestamp_s: float, prediction: Any) -> None:
        nonlocal last_update
        summary.add(prediction)
        if time.perf_counter() - last_update > PROGRESS_INTERVAL_SECONDS:
            last_update = time.perf_counter()
            on_progress(summary.frames, total)
            written = sum(file.stat().st_size for file in out.parent.iterdir())
            if max_bytes is not None and written > max_bytes:
                raise VideoError(f"{path}: the annotated video is too large",
                                 got=f"{written} bytes", expected=f"at most {max_bytes}")

    try:
        report = run_video(predict, Path(path), out,
                           lambda image, prediction: model.draw(image, prediction, threshold),
                           track=refine, workers=model.num_streams, on_start=on_start,
                           on_frame=on_frame,
                           )
    except VideoError as error:
        return _partial_output(model, error, path, out, summary, threshold)
    note = f"median of {summary.frames} frames; reading, inference, writing run in parallel"
    return VideoOutput(
        str(out), _results_html(model, summary, threshold),
        budget(_median_timings(summary, report.times), report.fps, note),
        status("; ".join([
            f"{report.frames_out} frames in {report.seconds:.1f} s, "
            f"{report.fps:.1f} fps in total",
            *(note.replace(path, Path(path).name) for note in report.notes)])),
    )


def _partial_output(model: DemoModel, error: VideoError, path: str, out: Path,
                    summary: _VideoSummary, threshold: float) -> VideoOutput:
    """The output for a video that was not processed to its end."""
    files = sorted(out.parent.iterdir())
    stopped = _is_stop(error)
    if not files:
        message = "stopped before the first frame" if stopped else _short_message(error, path)
        return VideoOutput(None, "", "", status(message, is_error=not stopped))
    if stopped:
        message = f"stopped; the first {summary.frames} frames are shown"
    else:
        cause = error.__cause__ if isinstance(error.__cause__, DetkitError) else error
        message = f"{_short_message(cause, path)}; the {summary.frames} frames before it are shown"
    return VideoOutput(str(files[0]), _results_html(model, summary, threshold), "",
                       status(message, is_error=not stopped),
                       )


def _is_stop(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, RunStopped):
            return True
        error = error.__cause__
    return False


def _short_message(error: DetkitError, path: str) -> str:
    """The message with the name of the file, without its folder and other paths."""
    return str(error).replace(path, Path(path).name).partition("; the ")[0]


def _median_timings(summary: _VideoSummary, times: StageTimings) -> dict[str, float]:
    """The median milliseconds per frame of each step, from reading to writing."""
    from detkit.video.run_report import DECODE, DRAW, ENCODE

    model_timings = {name: median(values) for name, values in summary.timings.items()}
    decode, draw, encode = (times.stages[name].percentile(50) for name in (DECODE, DRAW, ENCODE))
    return {"decode": decode, **model_timings, "draw": draw, "encode": encode}


def _results_html(model: DemoModel, summary: _VideoSummary, threshold: float) -> str:
    if model.is_detector:
        return video_summary_table(summary.per_class, model.classes)
    if summary.last is None:
        return ""
    return class_bars(summary.last, model.classes, TOP_K, threshold)
