"""Selection of detections: by hand, and against supervision's NMS."""

from __future__ import annotations

import numpy as np

from detkit.structures.detections import Detections
from detkit.structures.select_detections import select_detections


def _make(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32),
                      np.array(labels, np.int64), (100, 100))


def test_classes_and_number_keep_the_order() -> None:
    detections = _make([[0, 0, 9, 9]] * 4, [0.2, 0.9, 0.5, 0.7], [0, 1, 1, 2])
    assert select_detections(detections) == detections
    assert select_detections(detections, labels=[2, 0]).scores.tolist() == [
        np.float32(0.2), np.float32(0.7)]
    assert select_detections(detections, max_num=2).labels.tolist() == [1, 2]
    assert select_detections(detections, labels=[1], max_num=1).scores[0] == np.float32(0.9)
    assert len(select_detections(detections, labels=[])) == 0


def test_no_detections_stay_none() -> None:
    empty = Detections.empty((10, 20))
    assert select_detections(empty, labels=[1], agnostic_iou=0.5, max_num=3) == empty


def test_agnostic_nms_is_that_of_supervision() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (80, 2))
    detections = _make(np.hstack([corners, corners + rng.uniform(5, 40, (80, 2))]).tolist(),
                       rng.permutation(80) / 80, rng.integers(0, 3, 80).tolist())
    kept = select_detections(detections, agnostic_iou=0.4)
    expected = detections.to_supervision().with_nms(0.4, class_agnostic=True)
    assert 5 < len(kept) < 80
    order = np.argsort(-kept.scores)
    expected_order = np.argsort(-expected.confidence)
    np.testing.assert_array_equal(kept.boxes_xyxy[order], expected.xyxy[expected_order])
