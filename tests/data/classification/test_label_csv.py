"""One class list for all splits, and issues of classes that do not fit."""

import json

import pytest

from detkit.data.detection.load_detection_data import load_detection_data
from detkit.errors import DataError


def load(folder, tmp_path, **options):
    return load_detection_data(folder.write(), tmp_path / "work", **options)


def categories(data, split):
    return json.loads(data.splits[split].annotation_file.read_text())["categories"]


def labels(data, split):
    content = json.loads(data.splits[split].annotation_file.read_text())
    names = {record["id"]: record["name"] for record in content["categories"]}
    return [names[box["category_id"]] for box in content["annotations"]]


def test_ids_are_one_to_k_for_any_ids_in_the_splits(coco_folder, tmp_path):
    # val's file numbers dog 30 and cat 7, in that order.
    ground_truth = coco_folder.ground_truth["val"]
    ground_truth["categories"] = [{"id": 30, "name": "dog"}, {"id": 7, "name": "cat"}]
    for box in ground_truth["annotations"]:
        box["category_id"] = {1: 7, 2: 30}[box["category_id"]]
    data = load(coco_folder, tmp_path)
    assert data.classes == ("cat", "dog") and data.ledger.issues == []
    for split in data.splits:
        assert [(record["id"], record["name"]) for record in categories(data, split)] == [
            (1, "cat"), (2, "dog")]
        assert labels(data, split) == ["cat", "dog", "cat", "dog"]


def test_an_unused_super_category_is_no_class(coco_folder, tmp_path):
    for ground_truth in coco_folder.ground_truth.values():
        for record in ground_truth["categories"]:
            record["supercategory"] = "pets"
        ground_truth["categories"].insert(0, {"id": 0, "name": "pets", "supercategory": "none"})
    data = load(coco_folder, tmp_path)
    assert data.classes == ("cat", "dog") and data.ledger.counts == {"super_category": 1}


def test_a_used_super_category_is_a_class(coco_folder, tmp_path):
    for ground_truth in coco_folder.ground_truth.values():
        ground_truth["categories"][1]["supercategory"] = "cat"
    data = load(coco_folder, tmp_path)
    assert data.classes == ("cat", "dog") and data.ledger.issues == []


def test_a_category_without_boxes_is_kept_and_reported(coco_folder, tmp_path):
    for ground_truth in coco_folder.ground_truth.values():
        ground_truth["categories"].append({"id": 3, "name": "cow"})
    data = load(coco_folder, tmp_path)
    assert data.classes == ("cat", "dog", "cow")
    assert data.ledger.counts == {"unused_class": 1}


def without(ground_truth, label):
    ground_truth["annotations"] = [
        box for box in ground_truth["annotations"] if box["category_id"] != label
    ]


def test_a_class_that_train_lacks_is_reported(coco_folder, tmp_path):
    without(coco_folder.ground_truth["train"], 2)
    data = load(coco_folder, tmp_path)
    (issue,) = data.ledger.issues
    assert issue.code == "class_not_in_train" and "'dog'" in issue.message
    assert "val 2, test 2" in issue.message and data.classes == ("cat", "dog")


def test_a_class_that_only_train_has_is_reported(coco_folder, tmp_path):
    without(coco_folder.ground_truth["val"], 2)
    without(coco_folder.ground_truth["test"], 2)
    data = load(coco_folder, tmp_path)
    assert data.ledger.counts == {"class_only_in_train": 1}


@pytest.mark.parametrize("other", ["Cat", "CAT ", "c-at", "c_a t"])
def test_another_spelling_in_another_split_is_merged_and_reported(coco_folder, tmp_path, other):
    coco_folder.ground_truth["val"]["categories"][0]["name"] = other
    data = load(coco_folder, tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.ledger.count("near_class_names") == 1
    assert labels(data, "val") == ["cat", "dog", "cat", "dog"]


def test_two_spellings_in_one_file_are_kept_apart_and_reported(coco_folder, tmp_path):
    for ground_truth in coco_folder.ground_truth.values():
        ground_truth["categories"][1]["name"] = "Cat"
    data = load(coco_folder, tmp_path)
    assert data.classes == ("cat", "Cat")
    assert data.ledger.filter_by_code("near_class_names")[0].resolution.startswith("kept apart")


def test_blanks_around_a_name_are_trimmed_and_reported(coco_folder, tmp_path):
    coco_folder.ground_truth["train"]["categories"][0]["name"] = " cat "
    data = load(coco_folder, tmp_path)
    assert data.classes == ("cat", "dog") and data.ledger.counts == {"class_name_blanks": 1}


def test_one_name_with_two_ids_is_merged(coco_folder, tmp_path):
    ground_truth = coco_folder.ground_truth["train"]
    ground_truth["categories"].append({"id": 3, "name": "cat"})
    ground_truth["annotations"][1]["category_id"] = 3
    data = load(coco_folder, tmp_path)
    assert data.ledger.counts == {"duplicate_class": 1}
    assert labels(data, "train") == ["cat", "cat", "cat", "dog"]


@pytest.mark.parametrize("record, message", [
    ({"id": 1, "name": "cow"}, "category id 1 is used for 'cat' and for 'cow'"),
    ({"id": 3, "name": ""}, "no valid id and name"), ({"id": 3}, "no valid id and name"),
    ({"id": None, "name": "cow"}, "no valid id and name"),
    ({"id": 3, "name": 5}, "no valid id and name")])
def test_an_invalid_category_is_an_error(coco_folder, tmp_path, record, message):
    coco_folder.ground_truth["train"]["categories"].append(record)
    with pytest.raises(DataError, match=message):
        load(coco_folder, tmp_path)


def test_given_classes_set_the_order(coco_folder, tmp_path):
    data = load(coco_folder, tmp_path, classes=("dog", "cat"))
    assert data.classes == ("dog", "cat") and data.ledger.issues == []
    assert labels(data, "test") == ["cat", "dog", "cat", "dog"]


def test_a_used_class_that_is_not_among_the_given_is_an_error(coco_folder, tmp_path):
    with pytest.raises(DataError, match=r"'dog' has 2 boxes but is none of the 2 classes; did you "
                       "mean 'dogs'"):
        load(coco_folder, tmp_path, classes=("cat", "dogs"))
