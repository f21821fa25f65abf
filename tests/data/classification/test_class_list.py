"""One class list for all splits, and what is said of classes that do not fit."""

import json

import pytest

from detkit.data.detection.load_detection_data import open_data
from detkit.errors import DataError


def opened(folder, tmp_path, **options):
    return open_data(folder.write(), tmp_path / "work", **options)


def categories(data, split):
    return json.loads(data.splits[split].annotation_file.read_text())["categories"]


def labels(data, split):
    content = json.loads(data.splits[split].annotation_file.read_text())
    names = {record["id"]: record["name"] for record in content["categories"]}
    return [names[box["category_id"]] for box in content["annotations"]]


def test_ids_are_one_to_k_whatever_the_splits_call_them(coco_folder, tmp_path):
    # val's file numbers dog 30 and cat 7, in that order.
    truth = coco_folder.truth["val"]
    truth["categories"] = [{"id": 30, "name": "dog"}, {"id": 7, "name": "cat"}]
    for box in truth["annotations"]:
        box["category_id"] = {1: 7, 2: 30}[box["category_id"]]
    data = opened(coco_folder, tmp_path)
    assert data.classes == ("cat", "dog") and data.ledger.faults == []
    for split in data.splits:
        assert [(record["id"], record["name"]) for record in categories(data, split)] == [
            (1, "cat"), (2, "dog")]
        assert labels(data, split) == ["cat", "dog", "cat", "dog"]


def test_an_unused_super_category_is_no_class(coco_folder, tmp_path):
    for truth in coco_folder.truth.values():
        for record in truth["categories"]:
            record["supercategory"] = "pets"
        truth["categories"].insert(0, {"id": 0, "name": "pets", "supercategory": "none"})
    data = opened(coco_folder, tmp_path)
    assert data.classes == ("cat", "dog") and data.ledger.counts == {"super_category": 1}


def test_a_used_super_category_is_a_class(coco_folder, tmp_path):
    for truth in coco_folder.truth.values():
        truth["categories"][1]["supercategory"] = "cat"
    data = opened(coco_folder, tmp_path)
    assert data.classes == ("cat", "dog") and data.ledger.faults == []


def test_a_category_without_boxes_is_kept_and_told(coco_folder, tmp_path):
    for truth in coco_folder.truth.values():
        truth["categories"].append({"id": 3, "name": "cow"})
    data = opened(coco_folder, tmp_path)
    assert data.classes == ("cat", "dog", "cow")
    assert data.ledger.counts == {"unused_class": 1}


def without(truth, label):
    truth["annotations"] = [box for box in truth["annotations"] if box["category_id"] != label]


def test_a_class_that_train_lacks_is_told(coco_folder, tmp_path):
    without(coco_folder.truth["train"], 2)
    data = opened(coco_folder, tmp_path)
    (fault,) = data.ledger.faults
    assert fault.kind == "class_not_in_train" and "'dog'" in fault.what
    assert "val 2, test 2" in fault.what and data.classes == ("cat", "dog")


def test_a_class_that_only_train_has_is_told(coco_folder, tmp_path):
    without(coco_folder.truth["val"], 2)
    without(coco_folder.truth["test"], 2)
    data = opened(coco_folder, tmp_path)
    assert data.ledger.counts == {"class_only_in_train": 1}


@pytest.mark.parametrize("other", ["Cat", "CAT ", "c-at", "c_a t"])
def test_another_spelling_in_another_split_is_merged_and_told(coco_folder, tmp_path, other):
    coco_folder.truth["val"]["categories"][0]["name"] = other
    data = opened(coco_folder, tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.ledger.count("near_class_names") == 1
    assert labels(data, "val") == ["cat", "dog", "cat", "dog"]


def test_two_spellings_in_one_file_are_kept_apart_and_told(coco_folder, tmp_path):
    for truth in coco_folder.truth.values():
        truth["categories"][1]["name"] = "Cat"
    data = opened(coco_folder, tmp_path)
    assert data.classes == ("cat", "Cat")
    assert data.ledger.of_kind("near_class_names")[0].action.startswith("kept apart")


def test_blanks_around_a_name_are_trimmed_and_told(coco_folder, tmp_path):
    coco_folder.truth["train"]["categories"][0]["name"] = " cat "
    data = opened(coco_folder, tmp_path)
    assert data.classes == ("cat", "dog") and data.ledger.counts == {"class_name_blanks": 1}


def test_one_name_with_two_ids_is_merged(coco_folder, tmp_path):
    truth = coco_folder.truth["train"]
    truth["categories"].append({"id": 3, "name": "cat"})
    truth["annotations"][1]["category_id"] = 3
    data = opened(coco_folder, tmp_path)
    assert data.ledger.counts == {"duplicate_class": 1}
    assert labels(data, "train") == ["cat", "cat", "cat", "dog"]


@pytest.mark.parametrize("record, message", [
    ({"id": 1, "name": "cow"}, "category id 1 stands for 'cat' and for 'cow'"),
    ({"id": 3, "name": ""}, "no usable id and name"), ({"id": 3}, "no usable id and name"),
    ({"id": None, "name": "cow"}, "no usable id and name"),
    ({"id": 3, "name": 5}, "no usable id and name")])
def test_a_category_that_means_nothing_is_refused(coco_folder, tmp_path, record, message):
    coco_folder.truth["train"]["categories"].append(record)
    with pytest.raises(DataError, match=message):
        opened(coco_folder, tmp_path)


def test_given_classes_set_the_order(coco_folder, tmp_path):
    data = opened(coco_folder, tmp_path, classes=("dog", "cat"))
    assert data.classes == ("dog", "cat") and data.ledger.faults == []
    assert labels(data, "test") == ["cat", "dog", "cat", "dog"]


def test_a_used_class_that_is_not_among_the_given_is_refused(coco_folder, tmp_path):
    with pytest.raises(DataError, match=r"'dog' has 2 boxes but is none of the 2 classes; did you "
                       "mean 'dogs'"):
        opened(coco_folder, tmp_path, classes=("cat", "dogs"))
