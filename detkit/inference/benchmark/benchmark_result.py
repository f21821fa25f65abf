"""The results of a benchmark, and their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from detkit.tables import format_table

MMDET = "mmdet"


@dataclass(frozen=True)
class BenchmarkResult:
    """The measurements of one engine at one size.

    Args:
        engine: its name; 'mmdet' for inference in mmdet.
        precision: 'f32', 'bf16', 'f16' or 'int8'.
        size: (height, width) of the input in pixels, for the first image.
        median, p95: milliseconds per image, from the array to its detections.
        fps: images per second, with as many concurrent calls as the engine has streams.
        ap: COCO AP from 0 to 1; None without annotations.
        ratio: ``fps`` relative to mmdet's at the same size; None if that was not measured.
        pre, engine_ms, post: milliseconds of preprocessing, inference and postprocessing of a call;
            None for mmdet.
        shares: each component's share of ``engine_ms``, from 0 to 1.
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
        """The entry of a json file."""
        return asdict(self)


def speed_table(rows: Sequence[BenchmarkResult]) -> str:
    """A text table of speed and accuracy."""
    header = ("engine", "precision", "size", "median ms", "p95 ms", "fps", "x mmdet", "AP")
    body = [
        (row.engine, row.precision, f"{row.size[0]}x{row.size[1]}", f"{row.median:.1f}",
         f"{row.p95:.1f}", f"{row.fps:.1f}", "-" if row.ratio is None else f"{row.ratio:.2f}",
         "-" if row.ap is None else f"{row.ap:.4f}")
        for row in rows
    ]
    return format_table([header, *body], "lllrrrrr")


def layer_time_table(rows: Sequence[BenchmarkResult]) -> str:
    """A text table of the milliseconds of each component; empty if none are known."""
    timed_rows = [row for row in rows if row.shares and row.engine_ms is not None]
    if not timed_rows:
        return ""
    components = list(dict.fromkeys(component for row in timed_rows for component in row.shares))
    header = ("ms of", "pre", *components, "post")
    body = [(f"{row.engine} {row.precision} {row.size[0]}x{row.size[1]}", f"{row.pre or 0:.1f}",
             *(f"{row.shares.get(component, 0.0) * (row.engine_ms or 0):.1f}"
               for component in components), f"{row.post or 0:.1f}")
            for row in timed_rows]
    return format_table([header, *body], "l" + "r" * (len(header) - 1))
