"""Ids of images and categories that annotations have as another type."""

import pytest
from drawn_objects import count_boxes_on_objects

from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.formats.id_matching import parse_int_id
from detkit.errors import DataError


@pytest.mark.parametrize("value, number", [
    ("", None), ("a", None), ("1.5", None), (1.5, None), ("1e3", None), ("9" * 5000, None),
    ("3", 3), (" 3 ", 3), ("3.0", 3), ("003", 3), (3.0, 3), (3, 3), ("-1", -1)])
def test_integer_value_of_an_id(value, number):
    assert parse_int_id(value) == number


@pytest.mark.parametrize("key", ["image_id", "category_id"])
def test_text_for_a_number_is_matched_by_value_and_reported_once(coco_folder, tmp_path, key):
    for record in coco_folder.ground_truth["train"]["annotations"]:
        record[key] = str(record[key])
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    (issue,) = data.ledger.issues
    assert issue.code == "id_of_another_type" and f"{key} '1' is written 1" in issue.message
    assert "4 annotations" in issue.message and data.splits["train"].box_count == 4


def test_a_number_for_text_is_matched_by_value(coco_folder, tmp_path):
    for record in coco_folder.ground_truth["train"]["images"]:
        record["id"] = f"00{record['id']}"
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    assert data.splits["train"].box_count == 4


def test_of_two_ids_with_one_value_neither_is_chosen(coco_folder, tmp_path):
    ground_truth = coco_folder.ground_truth["train"]
    ground_truth["images"][1]["id"] = "1"
    for record in ground_truth["annotations"][2:]:
        record["image_id"] = "01"
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    assert data.ledger.count("unknown_image") == 2 and data.splits["train"].box_count == 2


@pytest.mark.parametrize("case", ["via_text_image_id", "via_mixed_image_id", "text_category_id",
                                  "all_text_ids"])
def test_all_boxes_match_their_drawn_objects(shared_cases, tmp_path, case):
    data = load_detection_data(shared_cases / "data" / case, tmp_path / "work")
    assert count_boxes_on_objects(data) == (12, 12)
    assert data.ledger.count("id_of_another_type") == (case != "all_text_ids")


def test_annotations_that_call_the_image_id_otherwise_are_errors_with_the_key(
        shared_cases, tmp_path):
    with pytest.raises(DataError, match="none of the 8 annotations has 'image_id'.*'item_id'"):
        load_detection_data(shared_cases / "data" / "item_id_key", tmp_path / "work")


def test_annotations_without_any_image_id_are_errors(coco_folder, tmp_path):
    for record in coco_folder.ground_truth["val"]["annotations"]:
        del record["image_id"]
    with pytest.raises(DataError, match="val.json: none of the 4 annotations has 'image_id'"):
        load_detection_data(coco_folder.write(), tmp_path / "work")
