"""ClassScores: what is accepted, what is refused, what is handed on."""

import dataclasses

import numpy as np
import pytest

import detkit
from detkit.structures.classifications import ClassScores


def some(**changed):
    parts = {"probabilities": [0.1, 0.6, 0.05, 0.25], "size_hw": (20, 30)}
    return ClassScores(**{**parts, **changed})


def test_one_class_is_the_least():
    alone = ClassScores([1.0], (1, 1))
    assert (len(alone), alone.label, alone.score) == (1, 0, 1.0)
    assert alone.top(5)[0].tolist() == [0]


def test_it_is_at_hand_from_the_package():
    assert detkit.ClassScores is ClassScores


def test_lists_become_arrays_of_the_stated_types():
    made = some()
    labels, scores = made.top(2)
    assert (made.probabilities.dtype, labels.dtype, scores.dtype) == (
        np.float32, np.int64, np.float32)
    assert len(made) == 4


def test_top_is_highest_first_and_never_longer_than_the_classes():
    labels, scores = some().top(3)
    assert labels.tolist() == [1, 3, 0]
    assert scores.tolist() == pytest.approx([0.6, 0.25, 0.1])
    assert some().top(9)[0].tolist() == [1, 3, 0, 2]
    assert (some().label, some().score) == (1, pytest.approx(0.6))


def test_of_equal_ones_the_lower_label_comes_first():
    tied = some(probabilities=[0.125, 0.375, 0.125, 0.375])
    assert tied.top(4)[0].tolist() == [1, 3, 0, 2]
    assert tied.label == 1


def test_two_are_equal_when_all_they_hold_is():
    assert some() == some()
    assert some() != some(size_hw=(20, 31))
    assert some() != some(probabilities=[0.6, 0.1, 0.05, 0.25])
    assert some() != "four"


def test_it_cannot_be_changed_and_does_not_change_with_what_it_was_made_of():
    given = np.array([0.5, 0.5], np.float32)
    made = ClassScores(given, (2, 2))
    given[0] = 0
    assert made.probabilities.tolist() == [0.5, 0.5]
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.size_hw = (1, 1)
    with pytest.raises(ValueError):
        made.probabilities[0] = 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"probabilities": []}, r"got shape \(0,\), expected \(K,\)"),
        ({"probabilities": [[1.0]]}, r"got shape \(1, 1\)"),
        ({"probabilities": [0.5, np.nan]}, "nan"),
        ({"probabilities": [1.5, -0.5]}, "outside 0..1"),
        ({"probabilities": [0.4, 0.4]}, "sum of 0.8, expected 1"),
        ({"size_hw": (0, 3)}, "size_hw"),
    ],
)
def test_what_breaks_the_promise_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        some(**changed)


def test_the_top_none_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        some().top(0)
