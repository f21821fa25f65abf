"""The check of a COCO file of a config: all issues are reported, nothing is written."""

import pytest

from detkit.data.detection.annotation_check import check_coco
from detkit.errors import DataError


def checked(folder, classes=None):
    root = folder.write()
    return check_coco(root / "annotations" / "train.json", root / "train", classes)


def test_good_data(coco_folder):
    ledger = checked(coco_folder, ("cat", "dog"))
    assert ledger.issues == [] and ledger.splits["data"].boxes_used == 4
    ledger.raise_errors()


def test_issues_are_reported_and_nothing_is_written(coco_folder):
    coco_folder.ground_truth["train"]["annotations"][0]["bbox"] = [4, 5, 0, 10]
    root = coco_folder.write()
    before = sorted(root.parent.rglob("*"))
    (issue,) = check_coco(root / "annotations" / "train.json", root / "train").issues
    assert (issue.code, issue.resolution, issue.annotation) == ("zero_size_box", "found", 1)
    assert sorted(root.parent.rglob("*")) == before


@pytest.mark.parametrize("classes, code", [
    (("cat",), "unknown_class"), (("cat", "dog", "cow"), "missing_class"),
    (("dog", "cat"), "class_order"), (("cat", "dgo"), "unknown_class")])
def test_classes_of_a_config_that_the_file_contradicts_are_errors(coco_folder, classes, code):
    ledger = checked(coco_folder, classes)
    assert code in ledger.counts
    with pytest.raises(DataError, match="train.json"):
        ledger.raise_errors()


def test_a_file_that_is_no_coco_annotation_file(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(DataError, match="a.json: not a COCO annotation file: an array of 0 items"):
        check_coco(tmp_path / "a.json", tmp_path)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="a.json: cannot be read"):
        check_coco(tmp_path / "a.json", tmp_path)
