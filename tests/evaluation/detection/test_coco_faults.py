"""Invalid annotation and results files raise errors that name the fault."""

import copy
import json

import pytest

from detkit.errors import DataError
from detkit.evaluation.detection.coco_eval import evaluate_boxes

GROUND_TRUTH = {
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b/c.jpg"}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81,
                     "iscrowd": 0}],
}
GOOD = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}
NAN = float("nan")


def changed(**annotation):
    ground_truth = copy.deepcopy(GROUND_TRUTH)
    ground_truth["annotations"][0].update(annotation)
    return ground_truth


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({}, ["not a results file", "no keys", "expected an array"]),
        (
            {"images": [], "annotations": [{"score": 1}]},
            ["object with images, annotations", "save that list"],
        ),
        (GROUND_TRUTH, ["looks like an annotation file", "annotation file first"]),
        ("text.json", ["text.json: no such file"]),
        (3, ["not a results file: got int"]),
        ([GOOD, 3], ["results[1] is not an object"]),
        (
            [{"image_id": 1, "category_id": 1, "score": 1, "segmentation": {}}],
            ["1 of 1 results have no 'bbox'", "'segmentation', but boxes"],
        ),
        ([GOOD, {**GOOD, "bbox": []}], ["1 of 2 results have no 'bbox'", "results[1]"]),
        ([GOOD, {**GOOD, "bbox": [1, 2, 3]}], ["results[1] (image 1)", "[1, 2, 3]"]),
        ([{**GOOD, "bbox": [1, 2, NAN, 3]}], ["invalid bbox", "four finite numbers"]),
        ([{**GOOD, "bbox": [1, 2, "3", 3]}], ["invalid bbox"]),
        ([{**GOOD, "bbox": "1234"}], ["invalid bbox"]),
        ([{**GOOD, "bbox": [50, 50, -3, 4]}], ["negative size", "not the corners"]),
        (
            [{key: GOOD[key] for key in ("image_id", "category_id", "bbox")}],
            ["invalid score: got none"],
        ),
        ([{**GOOD, "score": NAN}], ["invalid score: got nan"]),
        ([{**GOOD, "score": "0.5"}], ["invalid score: got '0.5'"]),
        ([{**GOOD, "score": None}], ["invalid score: got None"]),
        (
            [GOOD, {**GOOD, "image_id": 99}],
            ["1 of 2 results have an unknown image_id", "results[1]", "got 99", "expected 1, 2"],
        ),
        ([{**GOOD, "image_id": "1"}], ["got '1'", "the ground truth has 1, not '1'"]),
        ([{**GOOD, "image_id": "a.jpg"}], ["file names", "1 for 'a.jpg'"]),
        ([{**GOOD, "image_id": "c"}], ["file names", "2 for 'c'"]),
        ([{"category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}], ["image_id", "got None"]),
        ([{**GOOD, "category_id": 7}], ["category_id", "got 7", "expected 1, 2"]),
        ([{**GOOD, "category_id": "dog"}], ["use the category's id, 2 for 'dog'"]),
        ([{**GOOD, "category_id": 0}, GOOD], ["start at 0", "add 1"]),
        ([{**GOOD, "category_id": True}], ["got True"]),
    ],
    ids=[
        "empty object",
        "scored annotations",
        "annotations as results",
        "no file",
        "number",
        "number in array",
        "masks",
        "empty box",
        "three numbers",
        "nan box",
        "text in box",
        "text box",
        "negative width",
        "no score",
        "nan score",
        "text score",
        "null score",
        "unknown image",
        "text for number",
        "file name",
        "stem",
        "no image",
        "unknown category",
        "class name",
        "from zero",
        "true",
    ],
)
def test_invalid_results_raise(results, words):
    with pytest.raises(DataError) as caught:
        evaluate_boxes(GROUND_TRUTH, results)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("ground_truth", "words"),
    [
        ({}, ["'images' is missing", "no keys"]),
        ([], ["got an array", "give the annotation file first"]),
        (None, ["no such file"]),
        ({**GROUND_TRUTH, "images": []}, ["no images"]),
        ({**GROUND_TRUTH, "categories": []}, ["no categories"]),
        ({"images": GROUND_TRUTH["images"], "categories": GROUND_TRUTH["categories"]},
         ["'annotations' is missing", "images, categories"]),
        ({**GROUND_TRUTH, "annotations": {"1": 2}}, ["'annotations' is not a list"]),
        ({**GROUND_TRUTH, "images": [{"id": 1}, {"id": "2"}]}, ["mixed types", "1 and '2'"]),
        ({**GROUND_TRUTH, "images": [{"id": 1}, {"id": 1}]}, ["duplicate ids in images: 1"]),
        ({**GROUND_TRUTH, "images": [{"id": 1}, {"name": 1}]}, ["images[1]: invalid id"]),
        ({**GROUND_TRUTH, "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]},
         ["duplicate ids in categories"]),
        (changed(image_id=5), ["annotation 1 ", "got 5", "expected 1, 2"]),
        (changed(category_id=9), ["annotation 1 (image 1)", "category_id", "got 9"]),
        (changed(bbox=None), ["invalid bbox: got None"]),
        (changed(bbox=[1, 2, 3, -4]), ["invalid bbox", "[1, 2, 3, -4]"]),
        (changed(bbox=[1, 2, 3, NAN]), ["invalid bbox"]),
        (changed(area=-3), ["negative area"]),
        (changed(iscrowd="no"), ["invalid iscrowd: got 'no'"]),
        ({**GROUND_TRUTH, "annotations": [3]}, ["annotations[0] is not an object"]),
    ],
    ids=["empty object", "array", "no file", "no images", "no categories", "no annotations",
         "annotations an object", "mixed ids", "same image id", "no image id", "same category id",
         "unknown image", "unknown category", "no box", "negative height", "nan box",
         "negative area", "text iscrowd", "number for annotation"],
)
def test_invalid_ground_truth_raises(ground_truth, words, tmp_path):
    with pytest.raises(DataError) as caught:
        evaluate_boxes(tmp_path / "absent.json" if ground_truth is None else ground_truth, [])
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["not a JSON file: line 1, column 1"]),
        (b'{"images": [', ["not a JSON file: line 1"]),
        (b"\xff\xd8\xff\xe0 a photograph", ["not a JSON file"]),
        (b"[" * 100_000, ["not a JSON file"]),
    ],
    ids=["empty", "cut off", "a photograph", "too deep"],
)
def test_invalid_json_raises_data_error(content, words, tmp_path):
    path = tmp_path / "annotations.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        evaluate_boxes(path, [])
    for word in (str(path), *words):
        assert word in str(caught.value)


def test_folder_instead_of_file_raises(tmp_path):
    with pytest.raises(DataError, match="not a file"):
        evaluate_boxes(tmp_path, [])


def test_json_with_bom_is_read(tmp_path):
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(GROUND_TRUTH), encoding="utf-8-sig")
    assert evaluate_boxes(path, [GOOD]).AP == pytest.approx(1)


def test_unknown_class_raises_with_a_suggestion():
    with pytest.raises(DataError, match="no category 'dogs'.*did you mean 'dog'"):
        evaluate_boxes(GROUND_TRUTH, [], classes=["cat", "dogs"])


def test_duplicate_class_raises():
    with pytest.raises(DataError, match="duplicate class 'cat'"):
        evaluate_boxes(GROUND_TRUTH, [], classes=["cat", "cat"])
