"""Boxes and labels where and in the colours they should be."""

import itertools
import sys

import numpy as np
import pytest

from detkit.structures.detections import Detections
from detkit.visualization.box_annotator import BoxPainter, class_colour, text_colour

GREY = 90


def grey(height: int = 240, width: int = 320) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def found(boxes, labels, size_hw=(240, 320), scores=None) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(len(labels), 0.87, np.float32) if scores is None else np.array(scores, np.float32),
        np.array(labels, np.int64), size_hw,
    )


def letters_in(image: np.ndarray) -> int:
    """Pixels nearer to the letters' colour than to the label's ground or the grey around."""
    fill = class_colour(0)
    apart = [np.abs(image.astype(int) - colour).sum(axis=2)
             for colour in (text_colour(fill), fill, (GREY,) * 3)]
    return int((np.argmin(apart, axis=0) == 0).sum())


def test_nothing_found_gives_a_plain_copy() -> None:
    image = grey()
    drawn = BoxPainter(["car"])(image, Detections.empty((240, 320)))
    assert np.array_equal(drawn, image) and drawn is not image


def test_box_sides_have_the_classs_colour_in_rgb_and_the_image_is_left_alone() -> None:
    image = grey()
    drawn = BoxPainter(["car", "bus"])(image, found([[60, 80, 260, 200]], [1]))
    for row, column in ((200, 150), (140, 60), (140, 260)):
        assert tuple(drawn[row, column]) == class_colour(1)
    assert tuple(drawn[140, 150]) == (GREY,) * 3
    assert (image == GREY).all()


def test_label_stands_above_the_box_with_letters_in_another_colour() -> None:
    drawn = BoxPainter(["car"])(grey(), found([[60, 80, 260, 200]], [0]))
    label = drawn[66:78, 62:110].reshape(-1, 3)
    colours, counts = np.unique(label, axis=0, return_counts=True)
    assert tuple(colours[counts.argmax()]) == class_colour(0)
    assert letters_in(drawn[66:78, 62:110]) > 20


@pytest.mark.parametrize("box", [
    [0, 0, 320, 240], [300, 0, 320, 20], [0, 230, 20, 240], [310, 235, 320, 240], [5, 5, 5, 5],
], ids=["whole", "top-right", "bottom-left", "bottom-right", "point"])
def test_a_label_at_the_border_stays_in_the_picture(box) -> None:
    painter = BoxPainter(["car"])
    inside = painter(grey(), found([[100, 100, 200, 200]], [0]))
    at_border = painter(grey(), found([box], [0]))
    assert letters_in(at_border) >= 0.8 * letters_in(inside) > 20


def test_the_highest_score_is_drawn_on_top() -> None:
    boxes = [[60, 80, 260, 200], [60, 80, 260, 200]]
    for scores, top in (([0.9, 0.5], 0), ([0.5, 0.9], 1)):
        drawn = BoxPainter(["car", "bus"])(grey(), found(boxes, [0, 1], scores=scores))
        assert tuple(drawn[200, 150]) == class_colour(top)


@pytest.mark.parametrize("size_hw", [(1, 1), (2, 300), (32, 32), (2160, 3840)], ids=str)
def test_pictures_of_any_size_keep_it(size_hw) -> None:
    height, width = size_hw
    drawn = BoxPainter(["car"])(grey(*size_hw), found([[0, 0, width, height]], [0], size_hw))
    assert drawn.shape == (*size_hw, 3) and drawn.dtype == np.uint8
    assert (drawn != GREY).any()


def test_colours_of_the_first_twelve_classes_are_told_apart() -> None:
    colours = [np.array(class_colour(label)) for label in range(12)]
    nearest = min(np.abs(a - b).sum() for a, b in itertools.combinations(colours, 2))
    assert nearest > 60  # of 765


@pytest.mark.parametrize("label", range(80))
def test_letters_stand_out_from_their_ground(label: int) -> None:
    def luminance(colour) -> float:  # WCAG 2.1, relative luminance
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4
                  for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ground = class_colour(label)
    dark, light = sorted((luminance(ground), luminance(text_colour(ground))))
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG's least for text


def test_names_beyond_ascii_are_drawn_without_accents_or_by_number() -> None:
    painter = BoxPainter(["Erdmännchen", "狗", "dog"])
    drawn = painter(grey(), found([[60, 80, 260, 200]] * 3, [0, 1, 2]))
    assert (drawn != GREY).any()
    assert painter._names == ["Erdmannchen", "class 1", "dog"]


def test_in_place_draws_the_same_on_the_image_itself() -> None:
    painter, finds = BoxPainter(["car"]), found([[60, 80, 260, 200]], [0])
    image = grey()
    copy = painter(image, finds)
    assert (image == GREY).all()
    assert painter(image, finds, in_place=True) is image
    assert np.array_equal(image, copy)


@pytest.mark.parametrize("image", [
    grey()[:, ::-1], np.broadcast_to(np.uint8(GREY), (240, 320, 3)),
], ids=["reversed", "read-only"])
def test_what_cannot_be_drawn_on_in_place_is_copied(image: np.ndarray) -> None:
    painter, finds = BoxPainter(["car"]), found([[60, 80, 260, 200]], [0])
    assert np.array_equal(painter(image, finds, in_place=True), painter(grey(), finds))
    assert (image == GREY).all()


@pytest.mark.parametrize("size_hw", [(120, 160), (240, 320), (720, 1280), (1080, 1920)], ids=str)
def test_boxes_are_those_that_supervision_draws(size_hw) -> None:
    import supervision

    height, width = size_hw
    # Beyond the label's reach nothing else is drawn: the box's lower half is compared.
    finds = found([[width / 4, height / 3, width / 2, height * 0.9]], [0], size_hw)
    annotator = supervision.BoxAnnotator(
        color=supervision.Color(*class_colour(0)[::-1]), thickness=max(1, round(height / 250)))
    theirs = annotator.annotate(grey(*size_hw), finds.to_supervision())
    ours = BoxPainter(["car"])(grey(*size_hw), finds)
    assert np.array_equal(ours[height // 2:], theirs[height // 2:])
    assert (ours[height // 2:] != GREY).any()


def test_sides_beyond_the_picture_are_drawn_at_its_border() -> None:
    drawn = BoxPainter(["car"])(grey(), found([[-1e6, 100, 1e6, 1e6]], [0]))
    for row, column in ((150, 0), (150, 319), (239, 160)):
        assert tuple(drawn[row, column]) == class_colour(0)


def test_tails_of_letters_stay_on_their_ground() -> None:
    # 'g' and 'o' are alike above the line: what 'g' has more of is its tail.
    def inked_rows(name: str) -> np.ndarray:
        drawn = BoxPainter([name])(grey(), found([[60, 80, 260, 200]], [0]))
        return np.flatnonzero([letters_in(row[None]) for row in drawn[:80]])

    assert inked_rows("o").max() + 2 <= inked_rows("g").max() < 80


def test_a_painter_used_for_many_pictures_draws_as_a_new_one() -> None:
    painter = BoxPainter(["car", "bus"])
    for size_hw in ((240, 320), (720, 1280), (240, 320)):
        for label, score in ((0, 0.5), (1, 0.5), (0, 0.875), (0, 0.5), (1, 1.0)):
            finds = found([[60, 80, 260, 200]], [label], size_hw, [score])
            assert np.array_equal(painter(grey(*size_hw), finds),
                                  BoxPainter(["car", "bus"])(grey(*size_hw), finds))


def test_a_name_longer_than_the_picture_is_cut_off() -> None:
    drawn = BoxPainter(["w" * 300])(grey(), found([[60, 80, 260, 200]], [0]))
    assert letters_in(drawn[60:82]) > 300


def test_drawing_needs_no_supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)  # as if it were not installed
    drawn = BoxPainter(["car"])(grey(), found([[60, 80, 260, 200]], [0]))
    assert (drawn != GREY).any()
