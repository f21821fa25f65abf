"""What a run over a video did, and where its milliseconds went."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detkit.tables import format_table
from detkit.video.duration_histogram import DurationHistogram
from detkit.video.io.frame import Frame

DECODE, DETECT, TRACK, DRAW, ENCODE = "decode", "detect", "track", "draw", "encode"
STAGES = (DECODE, DETECT, TRACK, DRAW, ENCODE)


class StageTimings:
    """Measures a run while it goes, in a fixed piece of memory however long it is.

    Attributes:
        stages: each stage's milliseconds a frame; of a batch's time each frame has its share.
        waiting: what a frame's way took besides, in queues and for the rest of its batch.
        latency: from the beginning of a frame's reading until it lies in the file.
    """

    def __init__(self) -> None:
        self.stages = {name: DurationHistogram() for name in STAGES}
        self.waiting = DurationHistogram()
        self.latency = DurationHistogram()
        self._in_flight: dict[int, tuple[float, float]] = {}

    def begin(self, frame: Frame, detect_seconds: float, batch_size: int) -> None:
        """A frame was read and looked at, in a batch of ``batch_size`` frames."""
        self.stages[DECODE].add(frame.decode_seconds)
        self.stages[DETECT].add(detect_seconds / batch_size)
        self._in_flight[frame.index] = (frame.read_at, frame.decode_seconds + detect_seconds)

    def add_stage_time(self, stage: str, index: int, seconds: float) -> None:
        """A stage took ``seconds`` for a frame."""
        self.stages[stage].add(seconds)
        if index in self._in_flight:
            read_at, spent = self._in_flight[index]
            self._in_flight[index] = (read_at, spent + seconds)

    def end(self, index: int) -> None:
        """A frame is through."""
        read_at, spent = self._in_flight.pop(index)
        latency = time.perf_counter() - read_at
        self.latency.add(latency)
        self.waiting.add(max(0.0, latency - spent))


@dataclass(frozen=True)
class VideoReport:
    """What a run did.

    Args:
        out: the file that was written; None without one.
        frames_in: read from the source.
        frames_out: that went through the model, and into the file.
        frames_dropped: left out for newer ones.
        seconds: of the whole chain, opening and closing included.
        times: where they went.
        peak_memory: the most bytes that the process held at once since its start; None where
            the system does not say.
        notes: what is to be said besides, as of sound that could not be kept.
    """

    out: Path | None
    frames_in: int
    frames_out: int
    frames_dropped: int
    seconds: float
    times: StageTimings
    peak_memory: int | None
    notes: Sequence[str] = field(default=())

    @property
    def fps(self) -> float:
        """Frames that went through, by the seconds it took."""
        return self.frames_out / self.seconds if self.seconds > 0 else 0.0

    def table(self) -> str:
        """Frames, memory, and the milliseconds of each stage, in aligned columns."""
        summary = [
            ("frames in", str(self.frames_in)),
            ("frames out", str(self.frames_out)),
            ("frames dropped", str(self.frames_dropped)),
            ("seconds", f"{self.seconds:.1f}"),
            ("frames per second", f"{self.fps:.1f}"),
        ]
        if self.peak_memory is not None:
            summary.append(("peak memory, MB", f"{self.peak_memory / 1e6:.0f}"))
        rows = [[name, value, "", "", ""] for name, value in summary]
        # Decoders and encoders give their work in bursts: of those the mean says what it costs.
        rows.append(["ms a frame", "mean", "median", "p95", "p99"])
        histograms = {
            **self.times.stages, "waiting": self.times.waiting, "end to end": self.times.latency
        }
        rows += [
            [name, f"{histogram.total / histogram.count:.1f}",
             *(f"{histogram.percentile(percent):.1f}" for percent in (50, 95, 99))]
            for name, histogram in histograms.items() if histogram.count
        ]
        return format_table(rows, "lrrrr")


def peak_memory() -> int | None:
    """The most bytes of memory that this process held at once since its start, if it is known."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
