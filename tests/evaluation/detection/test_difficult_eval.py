"""Pascal VOC's difficult objects are ignored by IoU, crowd regions by covered area."""

import pytest

from detkit.evaluation.detection.coco_eval import evaluate_boxes

EASY, HARD = [10, 10, 40, 40], [60, 10, 40, 40]


def ground_truth(**hard):
    return {
        "images": [{"id": 1}], "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": EASY, "area": 1600, "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": HARD, "area": 1600, "iscrowd": 0,
             **hard}]}


def detections(*boxes):
    """Detections with decreasing scores."""
    return [{"image_id": 1, "category_id": 1, "bbox": box, "score": 0.9 - 0.1 * index}
            for index, box in enumerate(boxes)]


DIFFICULT = {"iscrowd": 1, "voc_difficult": 1}


@pytest.mark.parametrize("hard, detected, ap", [
    # Both objects detected; one of two detected: recall 0.5.
    ({}, (EASY, HARD), 1.0), ({}, (EASY,), 51 / 101),
    # A difficult object changes nothing when missed, detected or detected twice.
    (DIFFICULT, (EASY,), 1.0), (DIFFICULT, (HARD, EASY), 1.0), (DIFFICULT, (HARD, HARD, EASY), 1.0),
    # A box inside a difficult object is a false positive; ranked first it halves the precision.
    (DIFFICULT, ([60, 10, 15, 15], EASY), 0.5),
    # A box inside a crowd region is ignored.
    ({"iscrowd": 1}, ([60, 10, 15, 15], EASY), 1.0),
    # The field has no effect without iscrowd; a field 'difficult' has none.
    ({"voc_difficult": 1}, (EASY,), 51 / 101), ({"difficult": 1}, (EASY,), 51 / 101),
])
def test_ap_with_difficult_objects(hard, detected, ap):
    assert evaluate_boxes(ground_truth(**hard), detections(*detected)).AP == pytest.approx(ap)


def test_difficult_objects_are_reported_in_notes():
    assert any("1 annotations are difficult" in note
               for note in evaluate_boxes(ground_truth(**DIFFICULT), []).notes)
