"""predict's own results file is measured as the same detections in COCO's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detkit.errors import DataError
from detkit.evaluation.detection.coco_eval import evaluate_boxes

GROUND_TRUTH = {
    "images": [{"id": 7, "file_name": "a/1.jpg", "width": 100, "height": 100},
               {"id": 9, "file_name": "b/1.jpg", "width": 100, "height": 100}],
    "categories": [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 10, 20, 30], "area": 600,
         "iscrowd": 0},
        {"id": 2, "image_id": 9, "category_id": 5, "bbox": [50, 40, 20, 20], "area": 400,
         "iscrowd": 0}],
}


def _image(file: str, *detections: tuple[str, float, list[float]]) -> dict[str, Any]:
    return {"file": file, "width": 100, "height": 100, "picture": None, "detections": [
        {"class": name, "label": 0, "score": score, "box_xyxy": box}
        for name, score, box in detections]}


def _document(*images: dict[str, Any], threshold: float = 0.001) -> dict[str, Any]:
    return {"classes": ["cat", "dog"], "score_threshold": threshold, "images": list(images),
            "failed": []}


FIRST = _image("/data/a/1.jpg", ("cat", 0.9, [10, 10, 30, 41]), ("dog", 0.2, [0, 0, 5, 5]))
SECOND = _image("C:\\data\\b\\1.jpg", ("dog", 0.8, [52, 40, 70, 60]))


@pytest.mark.parametrize("as_file", [False, True])
def test_scores_are_those_of_the_same_boxes(as_file: bool, tmp_path: Path) -> None:
    expected = evaluate_boxes(GROUND_TRUTH, [
        {"image_id": 7, "category_id": 3, "bbox": [10, 10, 20, 31], "score": 0.9},
        {"image_id": 7, "category_id": 5, "bbox": [0, 0, 5, 5], "score": 0.2},
        {"image_id": 9, "category_id": 5, "bbox": [52, 40, 18, 20], "score": 0.8}], hints=True)
    document: Any = _document(FIRST, SECOND)
    if as_file:
        path = tmp_path / "detections.json"
        path.write_text(json.dumps(document))
        document = path
    scores = evaluate_boxes(GROUND_TRUTH, document, hints=True)
    assert 0.5 < scores.AP == expected.AP and scores.AP50 == expected.AP50 == pytest.approx(1)
    assert scores.hints == expected.hints


def test_what_does_not_match_is_said() -> None:
    other = _image("/elsewhere/2.jpg", ("cat", 0.5, [0, 0, 1, 1]))
    strange = _image("a/1.jpg", ("cow", 0.5, [0, 0, 1, 1]))
    scores = evaluate_boxes(GROUND_TRUTH, _document(other, strange, threshold=0.3), hints=True)
    text = " ".join(scores.hints)
    assert "below the score 0.3 are missing" in text and "--threshold 0.001" in text
    assert "1 files are no images of the ground truth and are left out: /elsewhere/2.jpg" in text
    assert "1 of 2 images of the ground truth are not in it" in text
    assert "the ground truth does not have are left out: cow" in text


@pytest.mark.parametrize(("images", "message"), [
    ([_image("x.jpg")], "no file is an image"),
    ([_image("1.jpg")], "no file is an image"),  # two images have that name
    ([FIRST, _image("a/1.jpg")], "two files are the image 7"),
    ([{**FIRST, "detections": [{"class": "cat", "score": 1.0}]}], "has no box"),
    ([{**FIRST, "detections": [{"class": "cat", "box_xyxy": [0, 0, 1, 1]}]}], "invalid score"),
])
def test_what_cannot_be_matched_is_an_error(images: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_boxes(GROUND_TRUTH, _document(*images))
