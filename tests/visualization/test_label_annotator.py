"""Drawing of an image's label: position, colors and sizes."""

import numpy as np
import pytest

from detkit.structures.classifications import Classifications
from detkit.visualization.box_annotator import class_color
from detkit.visualization.label_annotator import UNSURE_COLOR, LabelAnnotator, upscale_small

CLASSES = ("cat", "naïve dog", "日本")


def scores(*probabilities: float, size_hw: tuple[int, int] = (120, 160)) -> Classifications:
    return Classifications(np.array(probabilities, np.float32), size_hw)


def has_color(image: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((image == np.array(color)).all(axis=-1).any())


def drawn_extent(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """The rows and columns, from the top left corner, that the drawing changes."""
    rows, columns = np.nonzero((before != after).any(axis=-1))
    assert rows.min() == columns.min() == 0
    return int(rows.max()) + 1, int(columns.max()) + 1


@pytest.mark.parametrize("label, probabilities", enumerate([
    (0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8),
]), ids=CLASSES)
def test_label_is_at_the_top_left_in_the_class_color(
    label: int, probabilities: tuple[float, ...]
) -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    drawn = LabelAnnotator(CLASSES)(image, scores(*probabilities))
    assert image.max() == 0
    assert tuple(drawn[0, 0]) == class_color(label)
    rows, columns = drawn_extent(image, drawn)
    assert rows < 30 and columns < 160
    assert not has_color(drawn, class_color((label + 1) % 3))


def test_label_below_threshold_is_gray() -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    sure, unsure = (LabelAnnotator(CLASSES, threshold=item)(image, scores(0.5, 0.3, 0.2))
                    for item in (0.5, 0.51))
    assert tuple(sure[0, 0]) == class_color(0)
    assert tuple(unsure[0, 0]) == UNSURE_COLOR and not has_color(unsure, class_color(0))


def test_bar_length_is_proportional_to_probability() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    # The label is 'unsure', in gray, so only the bar has the color of the class.
    annotator = LabelAnnotator(CLASSES, top_k=3, threshold=1.0)
    drawn = annotator(image, scores(0.5, 0.25, 0.25, size_hw=(400, 400)))
    lengths = []
    for label in range(3):
        bars = (drawn == np.array(class_color(label))).all(axis=-1)
        lengths.append(int(bars.sum(axis=1).max()))
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=2)
    assert lengths[1] == lengths[2] > 10


@pytest.mark.parametrize("size_hw", [
    (1, 1), (1, 500), (500, 1), (20, 20), (64, 64), (3000, 4000), (24, 2000),
], ids=str)
def test_output_keeps_image_size(size_hw: tuple[int, int]) -> None:
    image = np.zeros((*size_hw, 3), np.uint8)
    drawn = LabelAnnotator(CLASSES, top_k=3)(image, scores(0.2, 0.7, 0.1, size_hw=size_hw))
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    # The list never takes more than half of the height, beside the label.
    assert drawn_extent(image, drawn)[0] <= max(size_hw[0] // 2, 30)


def test_text_size_grows_with_image_size() -> None:
    sizes = []
    for side in (300, 3000):
        image = np.zeros((side, side, 3), np.uint8)
        drawn = LabelAnnotator(CLASSES)(image, scores(0.8, 0.1, 0.1, size_hw=(side, side)))
        sizes.append(drawn_extent(image, drawn)[0])
    # 9 of 300 rows are the smallest letters; of 3000 they are as many hundredths.
    assert sizes[1] > 5 * sizes[0]


def test_long_name_is_shortened_and_value_stays() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    name = "a very long name of a class"
    long, short = (
        LabelAnnotator((item,))(image, scores(1.0, size_hw=(64, 64))) for item in (name, "a")
    )
    rows, columns = drawn_extent(image, long)
    assert drawn_extent(image, short)[1] < columns <= 64
    # The right edge is filled field, not cut letters.
    assert (long[:rows, columns - 3:columns] == np.array(class_color(0))).all()


@pytest.mark.parametrize("size_hw, times", [
    ((1, 1), 256), ((28, 28), 10), ((64, 64), 4), ((255, 300), 2), ((256, 256), 1),
    ((300, 4000), 1), ((1, 5000), 1), ((40, 240), 7), ((40, 1000), 2),
], ids=str)
def test_small_images_are_enlarged_by_an_integer_factor(
    size_hw: tuple[int, int], times: int
) -> None:
    image = np.arange(size_hw[0] * size_hw[1] * 3).reshape(*size_hw, 3).astype(np.uint8)
    large = upscale_small(image)
    assert large.shape == (size_hw[0] * times, size_hw[1] * times, 3)
    assert np.array_equal(large[::times, ::times], image)
    assert np.array_equal(large[times - 1::times, times - 1::times], image)
