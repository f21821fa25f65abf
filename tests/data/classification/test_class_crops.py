"""The boxes of detection sets as labelled pictures."""

import csv
import json

import pytest
from small_sets import draw, voc_xml

from detkit.data.classification.cls_dataset import ClassDataset
from detkit.data.classification.load_classification_data import open_class_data
from detkit.data.detection.load_detection_data import open_data
from detkit.data.images.read_image import read_image
from detkit.errors import DataError


def rows(data, split):
    with open(data.splits[split].list_file, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_box_is_a_sample_of_its_class(coco_folder, tmp_path):
    data = open_class_data(coco_folder.write(), tmp_path / "work")
    assert (data.format, data.classes) == ("crops", ("cat", "dog"))
    # [4 + 20 * label, 5, 12, 10] of each image, left, top, width and height, as corners
    assert rows(data, "val") == [
        {"path": f"val{image}.png", "label": label, "x1": str(x), "y1": "5.0", "x2": str(x + 12),
         "y2": "15.0"} for image in (0, 1) for label, x in (("cat", 4.0), ("dog", 24.0))]
    assert {name: split.counts for name, split in data.splits.items()} == dict.fromkeys(
        ("train", "val", "test"), (2, 2))
    assert data.ledger.faults == []


def test_small_boxes_and_crowds_are_left_out_and_told(coco_folder, tmp_path):
    boxes = coco_folder.truth["train"]["annotations"]
    boxes[0]["bbox"] = [4, 5, 3.9, 10]
    boxes[1]["iscrowd"] = 1
    data = open_class_data(coco_folder.write(), tmp_path / "work")
    assert data.splits["train"].counts == (1, 1)
    assert [(fault.kind, fault.image, fault.annotation, fault.split)
            for fault in data.ledger.faults] == [
        ("small_box", "train0.png", 1, "train"), ("crowd_box", "train0.png", 2, "train")]
    ledger = json.loads((data.splits["train"].list_file.parent / "ledger.json").read_text())
    assert ledger["splits"]["train"] == {
        "images_used": 1, "images_left_out": 0, "boxes_used": 2, "boxes_left_out": 2,
        "classes": {"cat": 1, "dog": 1}}


def test_the_detection_check_is_made_first_and_told_once(coco_folder, tmp_path, caplog):
    coco_folder.truth["train"]["annotations"][0]["bbox"] = [4, 5, 0, 10]
    coco_folder.truth["train"]["categories"].append({"id": 3, "name": "emu"})
    data = open_class_data(coco_folder.write(), tmp_path / "work")
    assert data.ledger.counts == {"zero_size_box": 1, "unused_class": 1}
    assert data.classes == ("cat", "dog", "emu") and data.splits["train"].counts == (1, 2, 0)


def test_a_set_without_splits_is_divided_as_for_detectors(tmp_path):
    for at in range(10):
        draw(tmp_path / "set" / f"{at}.png", seed=at)
        (tmp_path / "set" / f"{at}.xml").write_text(voc_xml(f"{at}.png", objects=(
            ("cat", (1, 2, 30, 40)), ("dog", (31, 2, 60, 40)))))
    crops = open_class_data(tmp_path / "set", tmp_path / "work")
    boxes = open_data(tmp_path / "set", tmp_path / "other")
    assert {name: split.image_count for name, split in crops.splits.items()} == {
        name: split.box_count for name, split in boxes.splits.items()} == {
        "train": 16, "val": 2, "test": 2}


def test_one_class_of_boxes_is_refused(coco_folder, tmp_path):
    for truth in coco_folder.truth.values():
        truth["categories"] = truth["categories"][:1]
        truth["annotations"] = truth["annotations"][::2]
    with pytest.raises(DataError, match="there is only the class 'cat'"):
        open_class_data(coco_folder.write(), tmp_path / "work")


def test_boxes_of_one_class_in_train_are_refused(coco_folder, tmp_path):
    coco_folder.truth["train"]["annotations"] = coco_folder.truth["train"]["annotations"][::2]
    with pytest.raises(DataError, match="all crops in train are of the class 'cat'"):
        open_class_data(coco_folder.write(), tmp_path / "work")
    data = open_class_data(tmp_path / "set", tmp_path / "work", need_train=False)
    assert data.splits["train"].counts == (2, 0)


def test_splits_of_the_same_names_and_boxes_are_told_each(coco_folder, tmp_path):
    for split, truth in coco_folder.truth.items():
        truth["annotations"][0]["bbox"] = [4, 5, 2, 2]
        for at, image in enumerate(truth["images"]):
            image["file_name"] = f"{at}.png"
            draw(tmp_path / "set" / split / f"{at}.png", seed=len(split) * 10 + at)
    data = open_class_data(coco_folder.write(), tmp_path / "work")
    assert [fault.split for fault in data.ledger.of_kind("small_box")] == ["train", "val", "test"]


def test_the_sample_has_a_classification_form(tmp_path):
    data = open_class_data("sample", tmp_path)
    assert data.format == "crops" and len(data.classes) == 10
    # its truth has a box for each thing: every class in every split
    assert all(min(split.counts) > 0 for split in data.splits.values())
    split = data.splits["val"]
    dataset = ClassDataset(str(split.list_file), {"classes": data.classes},
                           data_prefix={"img": str(split.image_dir)})
    assert len(dataset) == split.image_count
    for at in range(0, len(dataset), 50):
        info = dataset.get_data_info(at)
        height, width = read_image(info["img_path"]).shape[:2]
        x1, y1, x2, y2 = info["box_xyxy"]
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height


def test_difficult_objects_are_pictures_like_any_other(shared_cases, tmp_path):
    data = open_class_data(shared_cases / "data" / "voc_difficult", tmp_path / "work")
    assert {name: split.counts for name, split in data.splits.items()} == {
        "train": (4, 4), "val": (1, 1), "test": (1, 1)}
