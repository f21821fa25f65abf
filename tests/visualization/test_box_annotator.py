"""Drawing of boxes and labels: positions, colors and sizes."""

import itertools
import sys

import numpy as np
import pytest

from detkit.structures.detections import Detections
from detkit.visualization.box_annotator import BoxAnnotator, class_color, contrasting_text_color

GRAY = 90


def gray_image(height: int = 240, width: int = 320) -> np.ndarray:
    return np.full((height, width, 3), GRAY, np.uint8)


def make_detections(boxes, labels, size_hw=(240, 320), scores=None) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(len(labels), 0.87, np.float32) if scores is None else np.array(scores, np.float32),
        np.array(labels, np.int64), size_hw,
    )


def count_letter_pixels(image: np.ndarray) -> int:
    """Pixels nearer to the text color than to the label's fill or the gray background."""
    fill = class_color(0)
    distances = [np.abs(image.astype(int) - color).sum(axis=2)
                 for color in (contrasting_text_color(fill), fill, (GRAY,) * 3)]
    return int((np.argmin(distances, axis=0) == 0).sum())


def test_empty_detections_give_a_copy() -> None:
    image = gray_image()
    drawn = BoxAnnotator(["car"])(image, Detections.empty((240, 320)))
    assert np.array_equal(drawn, image) and drawn is not image


def test_box_has_class_color_and_input_is_unchanged() -> None:
    image = gray_image()
    drawn = BoxAnnotator(["car", "bus"])(image, make_detections([[60, 80, 260, 200]], [1]))
    for row, column in ((200, 150), (140, 60), (140, 260)):
        assert tuple(drawn[row, column]) == class_color(1)
    assert tuple(drawn[140, 150]) == (GRAY,) * 3
    assert (image == GRAY).all()


def test_label_is_above_the_box_with_text_in_another_color() -> None:
    drawn = BoxAnnotator(["car"])(gray_image(), make_detections([[60, 80, 260, 200]], [0]))
    label = drawn[66:78, 62:110].reshape(-1, 3)
    colors, counts = np.unique(label, axis=0, return_counts=True)
    assert tuple(colors[counts.argmax()]) == class_color(0)
    assert count_letter_pixels(drawn[66:78, 62:110]) > 20


@pytest.mark.parametrize("box", [
    [0, 0, 320, 240], [300, 0, 320, 20], [0, 230, 20, 240], [310, 235, 320, 240], [5, 5, 5, 5],
], ids=["whole", "top-right", "bottom-left", "bottom-right", "point"])
def test_label_at_the_border_stays_inside_the_image(box) -> None:
    annotator = BoxAnnotator(["car"])
    inside = annotator(gray_image(), make_detections([[100, 100, 200, 200]], [0]))
    at_border = annotator(gray_image(), make_detections([box], [0]))
    assert count_letter_pixels(at_border) >= 0.8 * count_letter_pixels(inside) > 20


def test_the_highest_score_is_drawn_on_top() -> None:
    boxes = [[60, 80, 260, 200], [60, 80, 260, 200]]
    for scores, top in (([0.9, 0.5], 0), ([0.5, 0.9], 1)):
        drawn = BoxAnnotator(["car", "bus"])(gray_image(),
                                             make_detections(boxes, [0, 1], scores=scores))
        assert tuple(drawn[200, 150]) == class_color(top)


@pytest.mark.parametrize("size_hw", [(1, 1), (2, 300), (32, 32), (2160, 3840)], ids=str)
def test_output_keeps_image_size(size_hw) -> None:
    height, width = size_hw
    drawn = BoxAnnotator(["car"])(gray_image(*size_hw),
                                  make_detections([[0, 0, width, height]], [0], size_hw))
    assert drawn.shape == (*size_hw, 3) and drawn.dtype == np.uint8
    assert (drawn != GRAY).any()


def test_first_twelve_class_colors_are_distinct() -> None:
    colors = [np.array(class_color(label)) for label in range(12)]
    nearest = min(np.abs(a - b).sum() for a, b in itertools.combinations(colors, 2))
    assert nearest > 60  # of 765


@pytest.mark.parametrize("label", range(80))
def test_text_contrast_meets_wcag(label: int) -> None:
    def luminance(color) -> float:  # WCAG 2.1, relative luminance
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4
                  for c in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    background = class_color(label)
    dark, light = sorted((luminance(background), luminance(contrasting_text_color(background))))
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG's least for text


def test_non_ascii_names_are_transliterated_or_numbered() -> None:
    annotator = BoxAnnotator(["Erdmännchen", "狗", "dog"])
    drawn = annotator(gray_image(), make_detections([[60, 80, 260, 200]] * 3, [0, 1, 2]))
    assert (drawn != GRAY).any()
    assert annotator._names == ["Erdmannchen", "class 1", "dog"]


def test_in_place_draws_same_result_on_input() -> None:
    annotator, detections = BoxAnnotator(["car"]), make_detections([[60, 80, 260, 200]], [0])
    image = gray_image()
    copy = annotator(image, detections)
    assert (image == GRAY).all()
    assert annotator(image, detections, in_place=True) is image
    assert np.array_equal(image, copy)


@pytest.mark.parametrize("image", [
    gray_image()[:, ::-1], np.broadcast_to(np.uint8(GRAY), (240, 320, 3)),
], ids=["reversed", "read-only"])
def test_non_writable_image_is_copied(image: np.ndarray) -> None:
    annotator, detections = BoxAnnotator(["car"]), make_detections([[60, 80, 260, 200]], [0])
    assert np.array_equal(annotator(image, detections, in_place=True),
                          annotator(gray_image(), detections))
    assert (image == GRAY).all()


@pytest.mark.parametrize("size_hw", [(120, 160), (240, 320), (720, 1280), (1080, 1920)], ids=str)
def test_boxes_match_supervision(size_hw) -> None:
    import supervision

    height, width = size_hw
    # Beyond the label's reach nothing else is drawn: the box's lower half is compared.
    detections = make_detections([[width / 4, height / 3, width / 2, height * 0.9]], [0], size_hw)
    annotator = supervision.BoxAnnotator(
        color=supervision.Color(*class_color(0)[::-1]), thickness=max(1, round(height / 250)))
    supervision_image = annotator.annotate(gray_image(*size_hw), detections.to_supervision())
    detkit_image = BoxAnnotator(["car"])(gray_image(*size_hw), detections)
    assert np.array_equal(detkit_image[height // 2:], supervision_image[height // 2:])
    assert (detkit_image[height // 2:] != GRAY).any()


def test_boxes_outside_image_are_clipped() -> None:
    drawn = BoxAnnotator(["car"])(gray_image(), make_detections([[-1e6, 100, 1e6, 1e6]], [0]))
    for row, column in ((150, 0), (150, 319), (239, 160)):
        assert tuple(drawn[row, column]) == class_color(0)


def test_descenders_stay_inside_label() -> None:
    # 'g' and 'o' are alike above the line: what 'g' has more of is its tail.
    def inked_rows(name: str) -> np.ndarray:
        drawn = BoxAnnotator([name])(gray_image(), make_detections([[60, 80, 260, 200]], [0]))
        return np.flatnonzero([count_letter_pixels(row[None]) for row in drawn[:80]])

    assert inked_rows("o").max() + 2 <= inked_rows("g").max() < 80


def test_reused_annotator_draws_like_a_new_one() -> None:
    annotator = BoxAnnotator(["car", "bus"])
    for size_hw in ((240, 320), (720, 1280), (240, 320)):
        for label, score in ((0, 0.5), (1, 0.5), (0, 0.875), (0, 0.5), (1, 1.0)):
            detections = make_detections([[60, 80, 260, 200]], [label], size_hw, [score])
            assert np.array_equal(annotator(gray_image(*size_hw), detections),
                                  BoxAnnotator(["car", "bus"])(gray_image(*size_hw), detections))


def test_name_wider_than_the_image_is_cut_off() -> None:
    drawn = BoxAnnotator(["w" * 300])(gray_image(), make_detections([[60, 80, 260, 200]], [0]))
    assert count_letter_pixels(drawn[60:82]) > 300


def test_drawing_needs_no_supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)  # as if it were not installed
    drawn = BoxAnnotator(["car"])(gray_image(), make_detections([[60, 80, 260, 200]], [0]))
    assert (drawn != GRAY).any()
