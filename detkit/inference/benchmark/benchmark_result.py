"""One line of the benchmark's table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from detkit.inference.files_report import format_table

MMDET = "mmdet"


@dataclass(frozen=True)
class BenchmarkResult:
    """What one engine does at one size.

    Args:
        engine: its name; 'mmdet' for the checkpoint in mmdet's own hands.
        precision: 'f32', 'bf16', 'f16' or 'int8'.
        size: (height, width) of the canvas that most pictures go to, in pixels.
        median, p95: milliseconds of a picture, from the array to its detections.
        fps: pictures a second, with as many at once as the engine serves well.
        ap: COCO AP from 0 to 1; None where there is nothing to measure on.
        ratio: ``fps`` by that of mmdet's predict at the same size; None where that was not run.
        pre, engine_ms, post: milliseconds of a call's parts; None for mmdet's.
        shares: of the network's parts in ``engine_ms``.
    """

    engine: str
    precision: str
    size: tuple[int, int]
    median: float
    p95: float
    fps: float
    ap: float | None = None
    ratio: float | None = None
    pre: float | None = None
    engine_ms: float | None = None
    post: float | None = None
    shares: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The row for a json file."""
        return asdict(self)


def speed_table(rows: Sequence[BenchmarkResult]) -> str:
    """Rows as lines of aligned words."""
    header = ("engine", "precision", "size", "median ms", "p95 ms", "fps", "x mmdet", "AP")
    body = [
        (row.engine, row.precision, f"{row.size[0]}x{row.size[1]}", f"{row.median:.1f}",
         f"{row.p95:.1f}", f"{row.fps:.1f}", "-" if row.ratio is None else f"{row.ratio:.2f}",
         "-" if row.ap is None else f"{row.ap:.4f}")
        for row in rows
    ]
    return format_table([header, *body])


def layer_time_table(rows: Sequence[BenchmarkResult]) -> str:
    """Where the milliseconds of a picture go, for the rows that know; empty without any."""
    timed_rows = [row for row in rows if row.shares and row.engine_ms is not None]
    if not timed_rows:
        return ""
    components = list(dict.fromkeys(component for row in timed_rows for component in row.shares))
    header = ("ms of", "precision", "size", "pre", *components, "post")
    body = [(row.engine, row.precision, f"{row.size[0]}x{row.size[1]}", f"{row.pre or 0:.1f}",
             *(f"{row.shares.get(component, 0.0) * (row.engine_ms or 0):.1f}"
               for component in components), f"{row.post or 0:.1f}")
            for row in timed_rows]
    return format_table([header, *body])
