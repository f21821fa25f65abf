"""The boxes of detection data sets as labeled images."""

import csv
import json

import pytest
from small_sets import draw, voc_xml

from detkit.data.classification.cls_dataset import ClsDataset
from detkit.data.classification.load_classification_data import load_classification_data
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.images.read_image import read_image
from detkit.errors import DataError


def rows(data, split):
    with open(data.splits[split].annotation_file, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_box_becomes_one_labeled_crop(coco_folder, tmp_path):
    data = load_classification_data(coco_folder.write(), tmp_path / "work")
    assert (data.format, data.classes) == ("crops", ("cat", "dog"))
    # [4 + 20 * label, 5, 12, 10] of each image, left, top, width and height, as corners
    assert rows(data, "val") == [
        {"path": f"val{image}.png", "label": label, "x1": str(x), "y1": "5.0", "x2": str(x + 12),
         "y2": "15.0"} for image in (0, 1) for label, x in (("cat", 4.0), ("dog", 24.0))]
    assert {name: split.counts for name, split in data.splits.items()} == dict.fromkeys(
        ("train", "val", "test"), (2, 2))
    assert data.ledger.issues == []


def test_small_boxes_and_crowds_are_skipped_and_reported(coco_folder, tmp_path):
    boxes = coco_folder.ground_truth["train"]["annotations"]
    boxes[0]["bbox"] = [4, 5, 3.9, 10]
    boxes[1]["iscrowd"] = 1
    data = load_classification_data(coco_folder.write(), tmp_path / "work")
    assert data.splits["train"].counts == (1, 1)
    assert [(issue.code, issue.image, issue.annotation, issue.split)
            for issue in data.ledger.issues] == [
        ("small_box", "train0.png", 1, "train"), ("crowd_box", "train0.png", 2, "train")]
    ledger = json.loads((data.splits["train"].annotation_file.parent / "ledger.json").read_text())
    assert ledger["splits"]["train"] == {
        "images_used": 1, "images_left_out": 0, "boxes_used": 2, "boxes_left_out": 2,
        "classes": {"cat": 1, "dog": 1}}


def test_detection_issues_are_reported_once(coco_folder, tmp_path, caplog):
    coco_folder.ground_truth["train"]["annotations"][0]["bbox"] = [4, 5, 0, 10]
    coco_folder.ground_truth["train"]["categories"].append({"id": 3, "name": "emu"})
    data = load_classification_data(coco_folder.write(), tmp_path / "work")
    assert data.ledger.counts == {"zero_size_box": 1, "unused_class": 1}
    assert data.classes == ("cat", "dog", "emu") and data.splits["train"].counts == (1, 2, 0)


def test_a_set_without_splits_is_divided_as_for_detectors(tmp_path):
    for at in range(10):
        draw(tmp_path / "set" / f"{at}.png", seed=at)
        (tmp_path / "set" / f"{at}.xml").write_text(voc_xml(f"{at}.png", objects=(
            ("cat", (1, 2, 30, 40)), ("dog", (31, 2, 60, 40)))))
    crops = load_classification_data(tmp_path / "set", tmp_path / "work")
    boxes = load_detection_data(tmp_path / "set", tmp_path / "other")
    assert {name: split.image_count for name, split in crops.splits.items()} == {
        name: split.box_count for name, split in boxes.splits.items()} == {
        "train": 16, "val": 2, "test": 2}


def test_one_class_of_boxes_is_an_error(coco_folder, tmp_path):
    for ground_truth in coco_folder.ground_truth.values():
        ground_truth["categories"] = ground_truth["categories"][:1]
        ground_truth["annotations"] = ground_truth["annotations"][::2]
    with pytest.raises(DataError, match="there is only the class 'cat'"):
        load_classification_data(coco_folder.write(), tmp_path / "work")


def test_boxes_of_one_class_in_train_are_errors(coco_folder, tmp_path):
    coco_folder.ground_truth["train"]["annotations"] = coco_folder.ground_truth["train"][
        "annotations"][::2]
    with pytest.raises(DataError, match="all crops in train have the class 'cat'"):
        load_classification_data(coco_folder.write(), tmp_path / "work")
    data = load_classification_data(tmp_path / "set", tmp_path / "work", require_train=False)
    assert data.splits["train"].counts == (2, 0)


def test_each_split_reports_its_own_small_boxes(coco_folder, tmp_path):
    for split, ground_truth in coco_folder.ground_truth.items():
        ground_truth["annotations"][0]["bbox"] = [4, 5, 2, 2]
        for at, image in enumerate(ground_truth["images"]):
            image["file_name"] = f"{at}.png"
            draw(tmp_path / "set" / split / f"{at}.png", seed=len(split) * 10 + at)
    data = load_classification_data(coco_folder.write(), tmp_path / "work")
    assert [issue.split
            for issue in data.ledger.filter_by_code("small_box")] == ["train", "val", "test"]


def test_sample_loads_as_crops_with_all_classes_in_each_split(tmp_path):
    data = load_classification_data("sample", tmp_path)
    assert data.format == "crops" and len(data.classes) == 10
    # its ground truth has a box for each object: every class in every split
    assert all(min(split.counts) > 0 for split in data.splits.values())
    split = data.splits["val"]
    dataset = ClsDataset(str(split.annotation_file), {"classes": data.classes},
                         data_prefix={"img": str(split.image_dir)})
    assert len(dataset) == split.image_count
    for at in range(0, len(dataset), 50):
        info = dataset.get_data_info(at)
        height, width = read_image(info["img_path"]).shape[:2]
        x1, y1, x2, y2 = info["box_xyxy"]
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height


def test_difficult_objects_are_kept_as_crops(shared_cases, tmp_path):
    data = load_classification_data(shared_cases / "data" / "voc_difficult", tmp_path / "work")
    assert {name: split.counts for name, split in data.splits.items()} == {
        "train": (4, 4), "val": (1, 1), "test": (1, 1)}
