"""The plot of a training's curves: an image of fixed size, whatever the values are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detkit.visualization.curves_plot import HEIGHT, WIDTH, Curve, TrainingCurves, plot_curves


def curve(label: str, *values: float) -> Curve:
    return Curve(label, np.arange(1.0, len(values) + 1), np.array(values))


@pytest.mark.parametrize("curves", [
    TrainingCurves((), (), (), "epoch"),
    TrainingCurves((curve("total"),), (curve("AP", np.nan),), (curve("learning rate"),), "epoch"),
    TrainingCurves((curve("total", 7.0),), (curve("AP", 0.0),), (curve("rate", 0.0),), "iteration"),
    TrainingCurves((curve("total", 9, 1, np.nan, 0.01), curve("$a_b$", 1, 2, 3)),
                   (curve("AP", 0.1, 0.3, 0.2), curve("AP50", 0.2, np.nan, 0.5)),
                   (curve("learning rate", 1e-5, 1e-3, 1e-4),), "epoch"),
], ids=["nothing", "no points and no score", "one point", "several, with gaps"])
def test_plot_is_an_image_of_its_size(curves: TrainingCurves, tmp_path: Path) -> None:
    plot_curves(curves, tmp_path / "curves.png", "$run: epoch 1 of 2")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size == (WIDTH, HEIGHT)
        pixels = np.asarray(image.convert("RGB"))
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    # The line of the total loss is the only thing so dark in its panel's plot area.
    has_line = (pixels[60:390, 95:702].max(2) < 60).any()
    assert has_line == any(len(item.x) for item in curves.losses)


def test_plot_leaves_pyplot_as_it_is(tmp_path: Path) -> None:
    import matplotlib

    backend = matplotlib.get_backend()
    plot_curves(TrainingCurves((), (), (), "epoch"), tmp_path / "curves.png")
    assert matplotlib.get_backend() == backend and not matplotlib.pyplot.get_fignums()
