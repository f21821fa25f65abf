"""Class probabilities of one image: validation, indexing and conversion."""

import dataclasses
import sys

import numpy as np
import pytest

import detkit
from detkit.errors import MissingExtraError
from detkit.structures.classifications import Classifications


def make_classifications(**changed):
    fields = {"probabilities": [0.1, 0.6, 0.05, 0.25], "size_hw": (20, 30)}
    return Classifications(**{**fields, **changed})


def test_single_class_is_supported():
    single = Classifications([1.0], (1, 1))
    assert (len(single), single.label, single.score) == (1, 0, 1.0)
    assert single.top(5)[0].tolist() == [0]


def test_is_exported_from_the_package():
    assert detkit.Classifications is Classifications


def test_lists_become_arrays_of_the_stated_types():
    classifications = make_classifications()
    labels, scores = classifications.top(2)
    assert (classifications.probabilities.dtype, labels.dtype, scores.dtype) == (
        np.float32, np.int64, np.float32)
    assert len(classifications) == 4


def test_top_is_highest_first_and_never_longer_than_the_classes():
    labels, scores = make_classifications().top(3)
    assert labels.tolist() == [1, 3, 0]
    assert scores.tolist() == pytest.approx([0.6, 0.25, 0.1])
    assert make_classifications().top(9)[0].tolist() == [1, 3, 0, 2]
    assert (make_classifications().label, make_classifications().score) == (1, pytest.approx(0.6))


def test_ties_are_ordered_by_label():
    tied = make_classifications(probabilities=[0.125, 0.375, 0.125, 0.375])
    assert tied.top(4)[0].tolist() == [1, 3, 0, 2]
    assert tied.label == 1


def test_equality_compares_all_fields():
    assert make_classifications() == make_classifications()
    assert make_classifications() != make_classifications(size_hw=(20, 31))
    assert make_classifications() != make_classifications(probabilities=[0.6, 0.1, 0.05, 0.25])
    assert make_classifications() != "four"


def test_is_immutable_and_copies_its_input():
    given = np.array([0.5, 0.5], np.float32)
    classifications = Classifications(given, (2, 2))
    given[0] = 0
    assert classifications.probabilities.tolist() == [0.5, 0.5]
    with pytest.raises(dataclasses.FrozenInstanceError):
        classifications.size_hw = (1, 1)
    with pytest.raises(ValueError):
        classifications.probabilities[0] = 1


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
def test_invalid_fields_raise(changed, message):
    with pytest.raises(ValueError, match=message):
        make_classifications(**changed)


def test_top_zero_raises():
    with pytest.raises(ValueError, match="at least 1"):
        make_classifications().top(0)


def test_indexing_and_iteration_give_probabilities_by_label():
    scores = make_classifications()
    assert scores[1] == scores.score and scores[-1] == pytest.approx(0.25)
    assert scores[[3, 0]].tolist() == pytest.approx([0.25, 0.1])
    assert scores[:2].tolist() == pytest.approx([0.1, 0.6])
    assert np.array_equal(scores[np.array([False, True, False, True])], scores[[1, 3]])
    assert list(scores) == scores.probabilities.tolist()
    with pytest.raises(IndexError):
        scores[4]


def test_supervision_gets_the_same_labels_and_probabilities():
    supervision = pytest.importorskip("supervision")
    scores = make_classifications()
    converted = scores.to_supervision()
    assert isinstance(converted, supervision.Classifications)
    assert converted.class_id.tolist() == [0, 1, 2, 3]
    assert np.array_equal(converted.confidence, scores.probabilities)
    labels, probabilities = converted.get_top_k(2)
    assert labels.tolist() == scores.top(2)[0].tolist()
    assert np.array_equal(probabilities, scores.top(2)[1])


def test_missing_supervision_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"detkit\[video\]"):
        make_classifications().to_supervision()
