"""Detections of one image: validation, indexing, iteration and conversion."""

import dataclasses
import sys

import numpy as np
import pytest

import detkit
from detkit.errors import MissingExtraError
from detkit.structures.detections import Detections


def make_detections(**changed):
    fields = {"boxes_xyxy": [[0, 0, 10, 10], [5, 5, 5, 9], [1, 2, 3, 4]],
              "scores": [0.9, 0.0, 0.5], "labels": [0, 3, 1], "size_hw": (20, 30)}
    return Detections(**{**fields, **changed})


def test_empty_detections_have_zero_length_arrays():
    empty = Detections.empty((20, 30))
    assert len(empty) == 0
    assert (empty.boxes_xyxy.shape, empty.scores.shape, empty.labels.shape) == (
        (0, 4), (0,), (0,))
    assert len(empty.filter_by_score(0.5)) == 0


def test_equality_compares_all_fields():
    assert make_detections() == make_detections()
    assert Detections.empty((20, 30)) == Detections.empty((20, 30))
    for changed in ({"scores": [0.9, 0.1, 0.5]}, {"labels": [0, 3, 2]}, {"size_hw": (20, 31)}):
        assert make_detections() != make_detections(**changed)
    assert make_detections() != make_detections().filter_by_score(0.5)
    assert make_detections() != "three"


def test_lists_become_arrays_of_the_stated_types():
    made = make_detections()
    assert len(made) == 3
    assert (made.boxes_xyxy.dtype, made.scores.dtype, made.labels.dtype) == (
        np.float32, np.float32, np.int64)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"boxes_xyxy": []}, "boxes_xyxy: got shape"),
        ({"boxes_xyxy": np.zeros((3, 5))}, r"got shape \(3, 5\), expected \(N, 4\)"),
        ({"scores": [0.1]}, r"scores: got shape \(1,\), expected \(3,\)"),
        ({"labels": [[0, 3, 1]]}, "labels: got shape"),
        ({"boxes_xyxy": [[0, 0, np.nan, 1]] * 3}, "nan or infinity"),
        ({"scores": [np.inf, 0, 0]}, "nan or infinity"),
        ({"boxes_xyxy": [[4, 0, 3, 1]] * 3}, "right < left"),
        ({"boxes_xyxy": [[0, 4, 3, 1]] * 3}, "right < left or bottom < top"),
        ({"scores": [0.1, 1.1, 0]}, "outside 0..1"),
        ({"scores": [0.1, -0.1, 0]}, "outside 0..1"),
        ({"labels": [0, -1, 0]}, "negative label"),
        ({"size_hw": (0, 3)}, "size_hw"),
        ({"size_hw": (1, 2, 3)}, "size_hw"),
    ],
    ids=["no boxes", "five columns", "few scores", "labels 2d", "nan", "infinity", "left > right",
         "top > bottom", "score > 1", "score < 0", "label < 0", "no height", "three sizes"],
)
def test_invalid_fields_raise(changed, message):
    with pytest.raises(ValueError, match=message):
        make_detections(**changed)


def test_detections_are_immutable():
    made = make_detections()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.size_hw = (1, 1)
    for array in (made.boxes_xyxy, made.scores, made.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_input_arrays_stay_writeable():
    scores = np.array([0.9, 0.0, 0.5], np.float32)
    make_detections(scores=scores)
    scores[0] = 0.1


@pytest.mark.parametrize(("threshold", "kept"), [(0, 3), (0.5, 2), (0.51, 1), (1, 0)])
def test_filter_by_score_keeps_scores_at_or_above_threshold(threshold, kept):
    assert len(make_detections().filter_by_score(threshold)) == kept


INDICES = {
    "no mask": (np.zeros(3, bool), []),
    "mask": (np.array([True, False, True]), [0, 1]),
    "list mask": ([True, False, True], [0, 1]),
    "indices": (np.array([2, 0]), [1, 0]),
    "list": ([2, -3, 2], [1, 0, 1]),
    "empty list": ([], []),
    "slice": (slice(1, None), [3, 1]),
    "reverse": (slice(None, None, -1), [1, 3, 0]),
    "integer": (1, [3]),
    "negative": (-1, [1]),
    "numpy integer": (np.int64(0), [0]),
}


@pytest.mark.parametrize(("index", "labels"), INDICES.values(), ids=INDICES)
def test_indexing_gives_detections(index, labels):
    subset = make_detections()[index]
    assert isinstance(subset, Detections) and subset.size_hw == (20, 30)
    assert subset.labels.tolist() == labels
    assert subset.boxes_xyxy.shape == (len(labels), 4)


@pytest.mark.parametrize("index", [3, -4, [0, 3], np.ones(2, bool), True, [0.5], "labels",
                                   np.zeros((1, 3), int)], ids=repr)
def test_unusable_index_raises_index_error(index):
    with pytest.raises(IndexError):
        make_detections()[index]


def test_empty_detections_can_be_indexed_and_iterated():
    empty = Detections.empty((20, 30))
    for index in ([], slice(None), np.zeros(0, bool)):
        assert empty[index] == empty
    assert list(empty) == []
    with pytest.raises(IndexError):
        empty[0]


@pytest.mark.parametrize("index", [v[0] for k, v in INDICES.items() if k != "empty list"],
                         ids=[k for k in INDICES if k != "empty list"])
def test_indexing_equals_supervision(index):
    pytest.importorskip("supervision")
    made = make_detections()
    assert made[index].to_supervision() == made.to_supervision()[index]


@pytest.mark.parametrize("made", [Detections.empty((20, 30)), make_detections()],
                         ids=["empty", "three"])
def test_iteration_equals_supervision(made):
    pytest.importorskip("supervision")
    expected = list(made.to_supervision())
    assert len(list(made)) == len(expected) == len(made)
    for item, reference in zip(made, expected):
        assert len(item) == len(reference)
        assert np.array_equal(item[0], reference[0])
        assert item[1:] == reference[1:]


@pytest.mark.parametrize("made", [Detections.empty((20, 30)), make_detections()],
                         ids=["empty", "three"])
def test_supervision_gets_the_same_boxes(made):
    supervision = pytest.importorskip("supervision")
    converted = made.to_supervision()
    assert isinstance(converted, supervision.Detections)
    assert np.array_equal(converted.xyxy, made.boxes_xyxy)
    assert np.array_equal(converted.confidence, made.scores)
    assert np.array_equal(converted.class_id, made.labels)


def test_supervision_annotates_and_filters_converted_detections():
    supervision = pytest.importorskip("supervision")
    image = np.zeros((20, 30, 3), np.uint8)
    converted = make_detections().to_supervision()
    drawn = supervision.BoxAnnotator().annotate(image.copy(), converted)
    assert drawn.any()
    assert len(converted.with_nms(0.5)) == 3


def test_missing_supervision_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"detkit\[video\]"):
        make_detections().to_supervision()


def test_is_exported_from_the_package():
    assert detkit.Detections is Detections
