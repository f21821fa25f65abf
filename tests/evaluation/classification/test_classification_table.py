"""A classifier's scores as text, as JSON and as a plot."""

import json

import numpy as np
import pytest
from PIL import Image

from detkit.errors import DataError
from detkit.evaluation.classification.classification_scores import ClassificationScores
from detkit.evaluation.classification.classification_table import (
    class_scores_table,
    per_class_table,
)
from detkit.evaluation.classification.confusion_matrix_plot import plot_confusion_matrix
from detkit.tables import WIDTH


def make_scores(
        classes=("ant", "bee", "cow"), confusion=((3, 1, 0), (1, 1, 2), (0, 0, 0)), top=None):
    return ClassificationScores(classes, np.array(confusion), top or {1: 0.5})


def make_scores_of_size(count):
    return make_scores([f"class number {index}" for index in range(count)],
                       np.eye(count) * 9 + 1, {1: 0.5, 5: 0.7})


def test_no_images_shows_dashes():
    text = class_scores_table(make_scores(["ant"], [[0]], {1: float("nan")}))
    assert text.splitlines()[0] == "0 images, 1 class"
    assert [line.split()[-1] for line in per_class_table(make_scores(["ant"], [[0]])).splitlines()
            ] == ["predicted", "0"]
    assert text.count(" -  ") == 5


def test_scores_table_has_scores_over_all_classes():
    # precision: 3/4, 1/2, 0/2, mean 5/12; recall: 3/4, 1/4, none, mean 1/3; f1: 6/8, 2/6, 0,
    # mean 13/36.
    assert class_scores_table(make_scores(top={1: 0.5, 2: 0.875})).splitlines() == [
        "8 images, 3 classes",
        "",
        "top1               0.5000  images whose class has the highest score",
        "top2               0.8750  images whose class is among the 2 highest",
        "precision          0.4167  mean over classes: correct of those predicted as it",
        "recall             0.3333  mean over classes: correct of those of the class",
        "f1                 0.3611  mean over classes: harmonic mean of both",
        "balanced accuracy  0.5000  mean recall of the classes that have images",
    ]


def test_per_class_table_has_a_row_per_class():
    assert per_class_table(make_scores()).splitlines() == [
        "class  precision  recall      f1  images  predicted",
        "ant       0.7500  0.7500  0.7500       4          4",
        "bee       0.5000  0.2500  0.3333       4          2",
        "cow       0.0000       -  0.0000       0          2",
    ]


def test_lines_fit_table_width():
    wide = make_scores(["a" * 200, "b", "c"], np.full((3, 3), 10 ** 7), {1: 1.0, 1000: 1.0})
    lines = (class_scores_table(wide) + "\n" + per_class_table(wide)).splitlines()
    assert max(map(len, lines)) <= WIDTH


def test_json_has_every_number_and_null_where_there_is_none():
    restored = json.loads(json.dumps(make_scores().as_dict(), allow_nan=False))
    assert restored["classes"]["cow"] == {
        "precision": 0, "recall": None, "f1": 0, "support": 0, "predicted": 2}
    assert (restored["images"], restored["top1"], restored["balanced_accuracy"]) == (8, 0.5, 0.5)
    assert restored["confusion"] == {
        "rows": "truth", "columns": "predicted", "counts": [[3, 1, 0], [1, 1, 2], [0, 0, 0]]
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"confusion": [[1, 2]]}, r"shape \(1, 2\), expected \(3, 3\)"),
     ({"confusion": -np.eye(3)}, "negative")],
)
def test_invalid_confusion_matrix_raises(changed, message):
    with pytest.raises(ValueError, match=message):
        make_scores(**changed)


@pytest.mark.parametrize("count", [1, 3, pytest.param(31, marks=pytest.mark.slow), 121])
def test_plot_is_written_and_shows_the_diagonal(tmp_path, count):
    path = plot_confusion_matrix(make_scores_of_size(count), tmp_path / "new" / "confusion.png")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert min(pixels.shape[:2]) > 200 and max(pixels.shape[:2]) < 4000
    # Blues: far more blue than red on the diagonal, whatever else is white, gray or black.
    assert (pixels[..., 2] - pixels[..., 0] > 60).any()
    assert [file.name for file in path.parent.iterdir()] == ["confusion.png"]


def test_plot_rows_are_true_and_columns_predicted_classes(tmp_path):
    # All cows are predicted as ants: the dark cell of the third row is on the left.
    scores = make_scores(confusion=[[5, 0, 0], [0, 5, 0], [5, 0, 0]])
    path = plot_confusion_matrix(scores, tmp_path / "c.png")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    dark = (abs(pixels - [8, 48, 107]).max(-1) < 3)  # the last color of matplotlib's Blues
    # Without the color bar on the right, which is also dark at its upper end.
    rows, columns = np.nonzero(dark[:, : int(pixels.shape[1] * 0.7)])
    left, top = columns.min(), rows.min()
    cell = (rows.max() - top + 1) / 3
    dark_cells = {(int((row - top) / cell), int((column - left) / cell))
                  for row, column in zip(rows, columns)}
    assert dark_cells == {(0, 0), (1, 1), (2, 0)}


def test_plot_handles_names_with_math_and_missing_glyphs(tmp_path):
    unusual_names = make_scores(["$\\frac$", "紙", ""])
    assert plot_confusion_matrix(unusual_names, tmp_path / "c.png").stat().st_size > 1000


def test_existing_plot_is_overwritten_only_with_force(tmp_path):
    path = tmp_path / "c.png"
    path.write_text("mine")
    with pytest.raises(DataError, match="c.png: the file already exists"):
        plot_confusion_matrix(make_scores(), path)
    assert path.read_text() == "mine"
    plot_confusion_matrix(make_scores(), path, force=True)
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_unwritable_plot_path_raises(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="c.png: the image cannot be written"):
        plot_confusion_matrix(make_scores(), tmp_path / "file" / "c.png")


def test_plotting_leaves_pyplot_state_unchanged(tmp_path):
    import matplotlib
    import matplotlib.pyplot as plt

    before = matplotlib.get_backend(), plt.get_fignums(), dict(matplotlib.rcParams)
    plot_confusion_matrix(make_scores(), tmp_path / "c.png")
    assert (matplotlib.get_backend(), plt.get_fignums(), dict(matplotlib.rcParams)) == before
