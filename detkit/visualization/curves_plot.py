"""Plots the curves of a training: losses, validation scores and the learning rate."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detkit.files import atomic_replace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 900, 860  # pixels
DPI = 100
LOG_RATIO = 5  # losses that differ by more have a logarithmic axis
MAX_MARKERS = 40
TOTAL_COLOR = "#222222"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6d31", "#7b68a6")
_LEFT, _PLOT_WIDTH = 0.1, 0.68  # fractions of the image
# Bottom and height of each panel, fractions of the image.
_PANELS = {"loss": (0.535, 0.395), "score": (0.24, 0.255), "rate": (0.07, 0.12)}


@dataclass(frozen=True)
class Curve:
    """A named series of points.

    Args:
        label: words for the legend.
        x: (N,) float64, ascending, in the unit of the x axis; N may be 0.
        y: (N,) float64; may contain nan, which leaves a gap.
    """

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class TrainingCurves:
    """What is plotted of a training; each group may be empty.

    Args:
        losses: the total loss first, then its parts.
        scores: validation scores, the main one first.
        learning_rate: its value over the training.
        unit: what x counts, 'epoch' or 'iteration'.
    """

    losses: tuple[Curve, ...]
    scores: tuple[Curve, ...]
    learning_rate: tuple[Curve, ...]
    unit: str


def plot_curves(curves: TrainingCurves, path: Path, title: str = "") -> None:
    """Write the curves to a PNG file of 900 x 860 pixels, replaced in one step.

    The losses have a logarithmic axis if they differ by more than a factor of 5. The legend shows
    the last value of each curve, and the best of the main score.

    Raises:
        OSError: the file cannot be written; its folder must exist.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    # A separate figure and canvas leave the state of pyplot unchanged.
    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    loss_axes, score_axes, rate_axes = (
        figure.add_axes((_LEFT, bottom, _PLOT_WIDTH, height)) for bottom, height in
        _PANELS.values())
    last_x = max((curve.x[-1] for curve in (*curves.losses, *curves.scores) if len(curve.x)),
                 default=1.0)
    for axes, label in ((loss_axes, "training loss"), (score_axes, "validation score"),
                        (rate_axes, "learning rate")):
        axes.set_ylabel(label, fontsize=11)
        axes.yaxis.set_label_coords(-0.095, 0.5)
        axes.set_xlim(0, last_x * 1.01)
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=last_x > 1))
        axes.grid(color="0.9", linewidth=0.8)
        axes.tick_params(labelsize=10, length=3)
        axes.spines[["top", "right"]].set_visible(False)
    loss_axes.tick_params(labelbottom=False)
    score_axes.tick_params(labelbottom=False)
    rate_axes.set_xlabel(curves.unit, fontsize=11)
    figure.text(_LEFT, 0.955, title, fontsize=13, parse_math=False)

    _draw_losses(loss_axes, curves.losses)
    _draw_scores(score_axes, curves.scores)
    for curve in curves.learning_rate:
        rate_axes.plot(curve.x, curve.y, color=TOTAL_COLOR, linewidth=1.5)
        rate_axes.set_ylim(bottom=0)
        rate_axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    with atomic_replace(path, "wb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The best compression takes as long as the drawing, and saves little.
        figure.savefig(file, format="png", pil_kwargs={"compress_level": 2})


def _draw_losses(axes: Axes, losses: Sequence[Curve]) -> None:
    for index, curve in enumerate(losses):
        color = COLORS[(index - 1) % len(COLORS)] if index else TOTAL_COLOR
        axes.plot(curve.x, curve.y, color=color, linewidth=1.5 if index else 2.2,
                  marker="o" if len(curve.x) == 1 else "",
                  label=f"{curve.label}  {_last(curve):.3g}")
    values = np.concatenate([curve.y for curve in losses]) if losses else np.empty(0)
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > LOG_RATIO * values.min():
        _use_log_axis(axes, float(values.min()), float(values.max()))
    _add_legend(axes, bool(losses))


def _use_log_axis(axes: Axes, low: float, high: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_yscale("log")
    # Tenths and their halves and doubles, as plain numbers.
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    factors = (1, 2, 5) if high < 1000 * low else (1,)
    axes.yaxis.set_major_locator(FixedLocator([k * 10.0**power for power in powers
                                               for k in factors]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(low / 1.15, high * 1.15)


def _draw_scores(axes: Axes, scores: Sequence[Curve]) -> None:
    for index, curve in enumerate(scores):
        color = COLORS[index % len(COLORS)]
        axes.plot(curve.x, curve.y, color=color, linewidth=1.8, markersize=4.5,
                  marker="o" if len(curve.x) <= MAX_MARKERS else "",
                  label=f"{curve.label}  {_last(curve):.3f}")
    if scores and np.isfinite(scores[0].y).any():
        best = int(np.nanargmax(scores[0].y))
        x, y = float(scores[0].x[best]), float(scores[0].y[best])
        axes.plot([x], [y], linestyle="", marker="o", markersize=9, markerfacecolor="none",
                  markeredgecolor=COLORS[0], markeredgewidth=1.5,
                  label=f"best  {y:.3f}")
        values = np.concatenate([curve.y for curve in scores])
        if np.nanmin(values) >= 0 and np.nanmax(values) <= 1:
            axes.set_ylim(0, min(max(1.1 * float(np.nanmax(values)), 0.01), 1.03))
    else:
        axes.text(0.5, 0.5, "no validation yet", transform=axes.transAxes, ha="center",
                  va="center", fontsize=11, color="0.5")
        axes.set_yticks([])
    _add_legend(axes, bool(scores))


def _last(curve: Curve) -> float:
    return float(curve.y[-1]) if len(curve.y) else float("nan")


def _add_legend(axes: Axes, has_curves: bool) -> None:
    if has_curves:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), frameon=False, fontsize=10,
                    handlelength=1.4, borderaxespad=0.3)
