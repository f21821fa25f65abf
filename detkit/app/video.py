"""A video from the page through the model, to a video that plays in the page."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from detkit.app.demo_model import TOP_K, DemoModel, chosen
from detkit.app.html import budget, class_bars, status, video_table
from detkit.errors import DetkitError, VideoError
from detkit.inference.predictor_protocol import Image
from detkit.structures.classifications import ClassScores
from detkit.structures.detections import Detections

if TYPE_CHECKING:
    from detkit.video.io.frame import Frame
    from detkit.video.io.source import Source
    from detkit.video.run_report import RunTimes

WINDOW = 15  # frames that a classifier's label is smoothed over, as in the video verb
SECONDS_BETWEEN_WORDS = 0.2

OnProgress = Callable[[int, "int | None"], None]


class Stopped(DetkitError):
    """The page, or the end of the server, wants no more of a video."""


@dataclass(frozen=True)
class VideoShown:
    """What the page shows of a video: a file that plays (None: nothing to show), and html."""

    video: str | None
    found: str
    budget: str
    status: str


@dataclass
class _Sums:
    """What the frames so far held, and what they took."""

    frames: int = 0
    finds: dict[int, tuple[int, int, float]] = field(default_factory=dict)
    parts: dict[str, list[float]] = field(default_factory=dict)
    last: ClassScores | None = None

    def add(self, found: Detections | ClassScores) -> None:
        self.frames += 1
        if isinstance(found, ClassScores):
            self.last = found
            return
        for label in set(found.labels.tolist()):
            of_label = found.scores[found.labels == label]
            frames, most, best = self.finds.get(label, (0, 0, 0.0))
            self.finds[label] = (frames + 1, max(most, len(of_label)),
                                 max(best, float(of_label.max())))


def look_at_video(
    model: DemoModel,
    path: str | None,
    folder: Path,
    threshold: float,
    labels: Sequence[int],
    stop: threading.Event,
    on_progress: OnProgress = lambda done, total: None,
    max_bytes: int | None = None,
) -> VideoShown:
    """Look at every frame of an uploaded video; what is wrong with it is the one line of status.

    What was done before a fault, or before the stop, is shown.

    Args:
        model: what looks.
        path: the uploaded file; None for none.
        folder: where the drawn video may lie.
        threshold: finds below it are left out; a classifier's label below it reads 'unsure'.
        labels: the classes to show; all when empty.
        stop: ends the run when it is set.
        on_progress: told now and then how many frames are done, and of how many.
        max_bytes: of the drawn video, which ends when it has more; None for no bound.
    """
    if path is None:
        return VideoShown(None, "", "", status("choose a video first", bad=True))
    from detkit.video.analytics.score_window import ScoreWindow
    from detkit.video.pipeline import run_video

    out = Path(tempfile.mkdtemp(dir=folder)) / f"{Path(path).stem[:80]}_found.mp4"
    sums, window = _Sums(), ScoreWindow(WINDOW)
    total: int | None = None
    told = 0.0

    def on_start(source: Source) -> None:
        nonlocal total
        total = source.info.frame_count

    def look(images: list[Image]) -> list[Any]:
        if stop.is_set():
            raise Stopped("stopped")
        answers: list[Any] = []
        for image in images:
            seen = model.look(image)
            for name, spent in seen.parts.items():
                sums.parts.setdefault(name, []).append(spent)
            answers.append(seen.answer)
        return answers

    def refine(answer: Any, frame: Frame) -> Any:
        if isinstance(answer, Detections):
            return chosen(answer, threshold, labels)
        return window.add(answer).smoothed

    def on_frame(index: int, seconds: float, found: Any) -> None:
        nonlocal told
        sums.add(found)
        if time.perf_counter() - told > SECONDS_BETWEEN_WORDS:
            told = time.perf_counter()
            on_progress(sums.frames, total)
            written = sum(one.stat().st_size for one in out.parent.iterdir())
            if max_bytes is not None and written > max_bytes:
                raise VideoError(f"{path}: the drawn video is too large", got=f"{written} bytes",
                                 expected=f"at most {max_bytes}")

    try:
        report = run_video(
            look, Path(path), out, lambda image, found: model.draw(image, found, threshold),
            track=refine, workers=model.streams, on_start=on_start, on_frame=on_frame,
        )
    except VideoError as error:
        return _kept(model, error, path, out, sums, threshold)
    note = f"medians of {sums.frames} frames; reading, the model and writing go on side by side"
    return VideoShown(
        str(out), _say(model, sums, threshold),
        budget(_parts(sums, report.times), report.frames_per_second, note),
        status("; ".join([
            f"{report.frames_out} frames in {report.seconds:.1f} s, "
            f"{report.frames_per_second:.1f} fps from file to file",
            *(note.replace(path, Path(path).name) for note in report.notes)])),
    )


def _kept(
    model: DemoModel, error: VideoError, path: str, out: Path, sums: _Sums, threshold: float
) -> VideoShown:
    """What is shown of a video that did not come to its end."""
    parts = sorted(out.parent.iterdir())
    stopped = _is_stop(error)
    if not parts:
        why = "stopped before the first frame" if stopped else _plain(error, path)
        return VideoShown(None, "", "", status(why, bad=not stopped))
    if stopped:
        why = f"stopped; the first {sums.frames} frames are shown"
    else:
        cause = error.__cause__ if isinstance(error.__cause__, DetkitError) else error
        why = f"{_plain(cause, path)}; the {sums.frames} frames before it are shown"
    return VideoShown(
        str(parts[0]), _say(model, sums, threshold), "", status(why, bad=not stopped),
    )


def _is_stop(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, Stopped):
            return True
        error = error.__cause__
    return False


def _plain(error: DetkitError, path: str) -> str:
    """The message with the file's own name, and without where on the server something lies."""
    return str(error).replace(path, Path(path).name).partition("; the ")[0]


def _parts(sums: _Sums, times: RunTimes) -> dict[str, float]:
    """The median milliseconds of a frame, from reading to writing."""
    from detkit.video.run_report import DECODE, DRAW, ENCODE

    of_model = {name: median(values) for name, values in sums.parts.items()}
    decode, draw, encode = (times.stages[name].percentile(50) for name in (DECODE, DRAW, ENCODE))
    return {"decode": decode, **of_model, "draw": draw, "encode": encode}


def _say(model: DemoModel, sums: _Sums, threshold: float) -> str:
    if model.detects:
        return video_table(sums.finds, model.classes)
    if sums.last is None:
        return ""
    return class_bars(sums.last, model.classes, TOP_K, threshold)
