"""Plots the confusion matrix of a classifier."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import DataError
from detkit.evaluation.classification.classification_scores import ClassificationScores
from detkit.files import atomic_replace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_CLASSES_WITH_COUNTS = 30
MAX_CLASSES_WITH_NAMES = 120
MAX_NAME_LENGTH = 28
DPI = 120


def plot_confusion_matrix(
    scores: ClassificationScores, path: str | Path, *, force: bool = False
) -> Path:
    """Write the confusion matrix to a PNG file; rows are ground truth, columns predictions.

    Colors show the rows normalized to 1, on a square-root scale; a class without images has a
    gray row. With up to 30 classes the cells show counts, with up to 120 the axes show names;
    beyond, the axes show about 20 class indices. Long names are shortened with '...'.

    Args:
        scores: scores of at least one class.
        path: the output file; its folder is created.
        force: overwrite an existing file.

    Returns:
        ``path``.

    Raises:
        DataError: ``path`` exists and ``force`` is not set, or it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    path = Path(path)
    if path.exists() and not force:
        raise DataError(f"{path}: the file already exists",
                        hint="choose another name, or move the file")
    count = len(scores.classes)
    names = [_display_name(name, index) for index, name in enumerate(scores.classes)]
    # Inches. A cell has room for a count or for one line of a name; beyond, the size is fixed.
    if count <= MAX_CLASSES_WITH_COUNTS:
        cell = 0.5
    else:
        cell = 0.17 if count <= MAX_CLASSES_WITH_NAMES else 14 / count
    margin = 0.075 * max(map(len, names)) + 0.7 if count <= MAX_CLASSES_WITH_NAMES else 1.0
    side = max(cell * count, 2.0)
    width, height = side + margin + 1.6, side + margin + 0.7
    # A separate figure and canvas leave the state of pyplot unchanged.
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((margin / width, 0.2 / height, side / width, side / height))
    normalized = _normalize_rows(scores.confusion)
    # A square-root scale keeps confusions of a few percent visible.
    image = axes.imshow(normalized, norm=PowerNorm(0.5, vmin=0, vmax=1), cmap=_colormap(),
                        interpolation="nearest" if count <= MAX_CLASSES_WITH_NAMES else "auto")
    _draw_class_names(axes, names)
    if count <= MAX_CLASSES_WITH_COUNTS:
        _draw_counts(axes, scores.confusion, normalized)
    colorbar_axes = figure.add_axes(
        ((margin + side + 0.25) / width, 0.2 / height, 0.18 / width, side / height))
    figure.colorbar(image, cax=colorbar_axes, ticks=[0, 0.02, 0.1, 0.25, 0.5, 0.75, 1])
    colorbar_axes.set_ylabel("fraction of the row")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_replace(path, "wb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure.savefig(file, format="png", bbox_inches="tight")
    except OSError as error:
        raise DataError(f"{path}: the image cannot be written ({error})") from error
    return path


def _normalize_rows(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """(K, K) float64, each row divided by its sum; nan in rows without images."""
    total = confusion.sum(1, keepdims=True)
    return np.where(total > 0, confusion / np.maximum(total, 1), np.nan)


def _colormap() -> Any:
    from matplotlib import colormaps

    return colormaps["Blues"].with_extremes(bad="0.88")


def _display_name(name: str, index: int) -> str:
    """The name, shortened if it is long; 'class 7' if the font lacks one of its characters."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    if not name.strip() or any(not font.get_char_index(ord(char)) for char in name):
        return f"class {index}"
    return name if len(name) <= MAX_NAME_LENGTH else name[: MAX_NAME_LENGTH - 3] + "..."


def _draw_class_names(axes: Axes, names: Sequence[str]) -> None:
    count = len(names)
    step = 1 if count <= MAX_CLASSES_WITH_NAMES else -(-count // 20)
    ticks = list(range(0, count, step))
    tick_labels = [names[tick] if step == 1 else str(tick) for tick in ticks]
    size = 10 if count <= MAX_CLASSES_WITH_COUNTS else 8
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    # Names with two dollar signs are not formulas.
    axes.set_xticks(ticks, tick_labels, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(ticks, tick_labels, fontsize=size, parse_math=False)
    axes.set_xlabel("predicted", fontsize=12, fontweight="bold")
    axes.set_ylabel("ground truth", fontsize=12, fontweight="bold")
    if count <= MAX_CLASSES_WITH_NAMES:
        edges = np.arange(1, count) - 0.5
        axes.hlines(edges, -0.5, count - 0.5, colors="0.85", linewidth=0.4)
        axes.vlines(edges, -0.5, count - 0.5, colors="0.85", linewidth=0.4)


def _draw_counts(
    axes: Axes, confusion: NDArray[np.int64], normalized: NDArray[np.float64]
) -> None:
    for (row, column), count in np.ndenumerate(confusion):
        if not count:
            continue
        text = str(count)
        axes.text(column, row, text, ha="center", va="center",
                  fontsize=min(10.0, 42 / len(text)),
                  color="white" if normalized[row, column] > 0.3 else "black")
