"""The report of a video run: counts of frames, and the time of each stage."""

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
    """Time measurements of a run, in a fixed amount of memory.

    Attributes:
        stages: milliseconds per frame of each stage; the time of a batch is divided by its size.
        waiting: milliseconds per frame in queues and waiting for the rest of its batch.
        latency: milliseconds from the start of reading a frame until it is in the output file.
    """

    def __init__(self) -> None:
        self.stages = {name: DurationHistogram() for name in STAGES}
        self.waiting = DurationHistogram()
        self.latency = DurationHistogram()
        self._in_flight: dict[int, tuple[float, float]] = {}

    def begin(self, frame: Frame, detect_seconds: float, batch_size: int) -> None:
        """Start the measurement of a frame that was predicted in a batch of ``batch_size``."""
        self.stages[DECODE].add(frame.decode_seconds)
        self.stages[DETECT].add(detect_seconds / batch_size)
        self._in_flight[frame.index] = (frame.read_at, frame.decode_seconds + detect_seconds)

    def add_stage_time(self, stage: str, index: int, seconds: float) -> None:
        """Add the time of a stage for the frame ``index``."""
        self.stages[stage].add(seconds)
        if index in self._in_flight:
            read_at, spent = self._in_flight[index]
            self._in_flight[index] = (read_at, spent + seconds)

    def end(self, index: int) -> None:
        """End the measurement of the frame ``index``."""
        read_at, spent = self._in_flight.pop(index)
        latency = time.perf_counter() - read_at
        self.latency.add(latency)
        self.waiting.add(max(0.0, latency - spent))


@dataclass(frozen=True)
class VideoReport:
    """The result of a run.

    Args:
        out: the output file; None if there is none.
        frames_in: frames read from the source.
        frames_out: frames processed and written.
        frames_dropped: frames dropped for newer ones.
        seconds: time of the whole run, with opening and closing.
        times: time of each stage.
        peak_memory: peak memory of the process in bytes; None if the system does not report it.
        notes: further messages, such as damaged frames or incomplete audio.
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
        """Processed frames per second of the whole run."""
        return self.frames_out / self.seconds if self.seconds > 0 else 0.0

    def table(self) -> str:
        """Frames, memory, and milliseconds of each stage, as a text table."""
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
        # Decoders and encoders work in bursts: for those the mean is the cost.
        rows.append(["ms per frame", "mean", "median", "p95", "p99"])
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
    """Peak memory of this process in bytes; None if the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
