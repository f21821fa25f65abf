"""Usable objects: crowds, difficult objects, images without a usable box."""

import json

import pytest
from drawn_objects import annotations_of, count_boxes_on_objects
from small_sets import coco, draw, write_json

from detkit.data.detection.annotation_check import check_coco
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.detection.options import DataOptions
from detkit.errors import DataError


def images_of(data, split="train"):
    content = json.loads(data.splits[split].annotation_file.read_text())
    return [image["file_name"] for image in content["images"]]


@pytest.mark.parametrize("box", [None, [], [4, 5, 0, 10], [500, 5, 12, 10]],
                         ids=["null", "empty", "zero", "outside"])
def test_image_with_only_unusable_boxes_is_not_background(coco_folder, tmp_path, box):
    for record in coco_folder.ground_truth["train"]["annotations"][:2]:
        record["bbox"] = box
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    assert images_of(data) == ["train1.png"]
    (issue,) = data.ledger.filter_by_code("image_without_usable_box")
    assert (issue.image, issue.resolution) == ("train0.png", "left out with its 2 boxes")
    count = data.ledger.splits["train"]
    assert (count.images_left_out, count.boxes_left_out) == (1, 2)


def test_the_boxes_without_numbers_of_the_case(shared_cases, tmp_path):
    data = load_detection_data(shared_cases / "data" / "xany_empty_bbox", tmp_path / "work")
    assert {name for split in data.splits for name in images_of(data, split)} == {
        "img1.jpg", "img5.jpg", "img6.jpg"}
    assert [issue.image for issue in data.ledger.filter_by_code("image_without_usable_box")] == [
        "img2.jpg", "img3.jpg", "img4.jpg"]
    assert count_boxes_on_objects(data) == (6, 6)


def with_negatives(root, empty):
    """Train and val, each with three images that have a box, and five that have an empty one."""
    for seed, split in enumerate(("train", "val")):
        names = [f"{split}{at}.png" for at in range(8)]
        for at, name in enumerate(names):
            draw(root / name, seed=8 * seed + at)
        write_json(root / f"{split}.json", coco(names, [
            (at, 0, [4, 5, 12, 10] if at < 3 else empty) for at in range(8)], classes=("cat",)))
    return root


@pytest.mark.parametrize("empty", [[], [0, 0, 0, 0], [0.0, 0.0, 0.0, 0.0]])
def test_empty_box_is_background_option(tmp_path, empty):
    root = with_negatives(tmp_path / "set", empty)
    data = load_detection_data(root, tmp_path / "work")
    assert [data.splits[name].image_count for name in ("train", "val")] == [3, 3]
    option = "data_options.empty_box_is_background=True"
    notes = "\n".join(data.ledger.notes)
    assert "train: 5 images are left out" in notes and option in notes
    data = load_detection_data(root, tmp_path / "work2",
                               options=DataOptions(empty_box_is_background=True))
    assert data.ledger.counts == {"empty_box": 10, "image_without_boxes": 10}
    assert [data.splits[name].image_count for name in ("train", "val")] == [8, 8]


def test_an_empty_box_with_a_mask_is_an_object(tmp_path):
    root = with_negatives(tmp_path / "set", [])
    ground_truth = json.loads((root / "train.json").read_text())
    ground_truth["annotations"][7]["segmentation"] = [[1, 1, 2, 2]]  # a line: no outline
    write_json(root / "train.json", ground_truth)
    data = load_detection_data(root, tmp_path / "work",
                               options=DataOptions(empty_box_is_background=True))
    assert (data.splits["train"].image_count, data.splits["val"].image_count) == (7, 8)
    assert data.ledger.count("image_without_usable_box") == 1


def test_too_few_images_beside_those_of_empty_boxes_are_errors_with_the_option(tmp_path):
    root = with_negatives(tmp_path / "set", [])
    ground_truth = json.loads((root / "train.json").read_text())
    del ground_truth["annotations"][0]["bbox"]
    write_json(root / "train.json", ground_truth)
    with pytest.raises(DataError, match="only 2 images .*empty_box_is_background=True"):
        load_detection_data(root, tmp_path / "work")


def test_a_list_for_a_category_id_is_an_error(coco_folder, tmp_path):
    coco_folder.ground_truth["train"]["annotations"][0]["category_id"] = [1]
    del coco_folder.ground_truth["train"]["annotations"][1]
    with pytest.raises(DataError, match=r"category_id \[1\] is not among the file's"):
        load_detection_data(coco_folder.write(), tmp_path / "work")


def test_exchanged_corners_of_the_case_are_put_in_order(shared_cases, tmp_path):
    data = load_detection_data(shared_cases / "data" / "voc_exchanged", tmp_path / "work")
    assert data.ledger.counts == {"corners_exchanged": 6, "box_clipped": 1}
    # The sixteenth is p4's (-5, -3, 30, 30), which stands for no drawn object.
    assert count_boxes_on_objects(data) == (15, 16)
    assert data.ledger.splits["train"].images_left_out == 0


@pytest.mark.parametrize("case, cause", [
    ("cvat_all_crowd", "instances_default.json: .* 12 boxes 12 are crowd regions"),
    ("all_crowd_splits", "instances_train.json: .* 12 boxes 12 are crowd regions"),
    ("imglab_bbox_dict", "none of its 12 boxes can be used; not_a_box in 12.*'cx': 53.0")])
def test_split_without_objects_raises_with_the_cause(shared_cases, tmp_path, case, cause):
    with pytest.raises(DataError, match=cause):
        load_detection_data(shared_cases / "data" / case, tmp_path / "work")


def test_a_val_split_of_crowds_is_an_error(coco_folder, tmp_path):
    for record in coco_folder.ground_truth["val"]["annotations"]:
        record["iscrowd"] = 1
    with pytest.raises(DataError, match="val.json: it has no object to train on or evaluate"):
        load_detection_data(coco_folder.write(), tmp_path / "work")


def test_a_config_file_of_crowds_is_an_error(coco_folder):
    for record in coco_folder.ground_truth["train"]["annotations"]:
        record["iscrowd"] = 1
    root = coco_folder.write()
    with pytest.raises(DataError, match="4 are crowd regions"):
        check_coco(root / "annotations" / "train.json", root / "train").raise_errors()


def test_a_class_of_crowds_alone_is_reported(coco_folder, tmp_path):
    for record in coco_folder.ground_truth["train"]["annotations"]:
        record["iscrowd"] = int(record["category_id"] == 2)
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    (issue,) = data.ledger.issues
    assert issue.code == "class_not_in_train" and "'dog'" in issue.message
    assert "train 2" in issue.message


def test_a_class_whose_boxes_were_all_left_out_is_reported_with_their_number(coco_folder, tmp_path):
    for ground_truth in coco_folder.ground_truth.values():
        for record in ground_truth["annotations"]:
            if record["category_id"] == 2:
                record["bbox"] = None
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    (issue,) = data.ledger.filter_by_code("unused_class")
    assert "'dog'" in issue.message and "all 6" in issue.message


def crowds(data, split):
    content = json.loads(data.splits[split].annotation_file.read_text())
    return {(data.classes[box["category_id"] - 1], box["difficult"], box["iscrowd"])
            for box in content["annotations"]}


def test_difficult_objects_are_trained_on_and_not_measured(shared_cases, tmp_path):
    data = load_detection_data(shared_cases / "data" / "voc_difficult", tmp_path / "work")
    assert crowds(data, "train") == {("a", 1, 0), ("b", 0, 0)}
    assert crowds(data, "val") == crowds(data, "test") == {("a", 1, 1), ("b", 0, 0)}
    assert any("train 4, val 1, test 1" in note and "ignored in AP" in note
               for note in data.ledger.notes)
    (issue,) = data.ledger.issues
    assert issue.code == "class_only_in_train" and "'a'" in issue.message


def test_difficult_objects_are_not_trained_on_when_the_user_says_it(shared_cases, tmp_path):
    data = load_detection_data(shared_cases / "data" / "voc_difficult", tmp_path / "work",
                               options=DataOptions(train_difficult=False))
    assert crowds(data, "train") == {("a", 1, 1), ("b", 0, 0)}
    (issue,) = data.ledger.filter_by_code("unused_class")
    assert "'a'" in issue.message and "train 4" in issue.message


def test_difficult_in_a_coco_file_is_not_used(coco_folder, tmp_path):
    for record in coco_folder.ground_truth["val"]["annotations"]:
        record["difficult"] = 1
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    assert all(box["iscrowd"] == 0 for *_, box in annotations_of(data))
    assert any("does not use it" in note for note in data.ledger.notes)
