"""Real detection data sets, whose known issues must be reported."""

import contextlib
import io
import json
from collections import Counter

import pytest

from detkit.data.detection.annotation_check import check_coco
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.errors import DataError


@pytest.fixture(scope="module")
def blood(shared_data, tmp_path_factory):
    return load_detection_data(shared_data / "det_bccd_voc", tmp_path_factory.mktemp("blood"))


@pytest.fixture(scope="module")
def chess(shared_data, tmp_path_factory):
    return load_detection_data(shared_data / "det_chess_coco", tmp_path_factory.mktemp("chess"))


def content(data, split):
    return json.loads(data.splits[split].annotation_file.read_text())


def boxes_by_class(data):
    counts = Counter()
    for split in data.splits:
        counts.update(box["category_id"] for box in content(data, split)["annotations"])
    return {name: counts[number] for number, name in enumerate(data.classes, start=1)}


def test_blood_cells_are_all_there_but_the_two_boxes_without_size(blood):
    # SOURCE.txt: RBC 4155, WBC 372, Platelets 361, of them two RBC without width and height.
    assert boxes_by_class(blood) == {"Platelets": 361, "RBC": 4153, "WBC": 372}
    assert {name: split.image_count for name, split in blood.splits.items()} == {
        "train": 205, "val": 87, "test": 72}
    assert blood.ledger.counts == {"zero_size_box": 2}
    assert sorted((issue.image, issue.message.split("[")[1].split("]")[0])
                  for issue in blood.ledger.issues) == [
        ("BloodImage_00338.jpg", "504, 337, 0, 0"), ("BloodImage_00343.jpg", "181, 329, 0, 0")]
    assert all(issue.file.endswith(issue.image.replace("jpg", "xml"))
               for issue in blood.ledger.issues)


def test_blood_cells_keep_truncated(blood):
    # SOURCE.txt: truncated is 1 on 1131 boxes, difficult never.
    boxes = [box for split in blood.splits for box in content(blood, split)["annotations"]]
    assert sum(box["truncated"] for box in boxes) == 1131
    assert sum(box["difficult"] for box in boxes) == 0


def test_chess_issues_are_reported(chess):
    ledger = chess.ledger
    assert ledger.counts == {
        "super_category": 1, "duplicate_box": 1, "image_id_zero": 2, "annotation_id_zero": 2,
        "image_without_boxes": 1, "class_only_in_train": 1}
    assert "category 0 'pieces'" in ledger.filter_by_code("super_category")[0].message
    (duplicate,) = ledger.filter_by_code("duplicate_box")
    assert duplicate.split == "train" and "[334, 31, 141, 174]" in duplicate.message
    (empty,) = ledger.filter_by_code("image_without_boxes")
    assert empty.split == "test" and empty.image.startswith("e0d38d15")
    assert "'bishop' has 1 box" in ledger.filter_by_code("class_only_in_train")[0].message
    assert [issue.split for issue in ledger.filter_by_code("annotation_id_zero")] == ["val", "test"]


def test_chess_counts_are_the_published_ones_less_the_duplicate(chess):
    assert {name: (split.image_count, split.box_count) for name, split in chess.splits.items()} == {
        "train": (70, 780), "val": (58, 386), "test": (29, 376)}
    counts = boxes_by_class(chess)
    assert len(counts) == 13 and "pieces" not in counts
    assert (counts["black-pawn"], counts["white-rook"], counts["bishop"]) == (350, 97, 1)


@pytest.mark.parametrize("name", ["blood", "chess"])
def test_mmdets_dataset_drops_nothing_of_the_cleaned_json(name, request):
    from mmdet.datasets import CocoDataset

    data = request.getfixturevalue(name)
    for split in data.splits.values():
        with contextlib.redirect_stdout(io.StringIO()):
            dataset = CocoDataset(
                ann_file=str(split.annotation_file), data_prefix={"img": str(split.image_dir)},
                metainfo={"classes": data.classes}, filter_cfg={"filter_empty_gt": False},
                pipeline=[])
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        assert len(infos) == split.image_count
        assert sum(len(info["instances"]) for info in infos) == split.box_count
        ground_truth = json.loads(split.annotation_file.read_text())["annotations"]
        labels = Counter(instance["bbox_label"] for info in infos for instance in info["instances"])
        assert labels == Counter(box["category_id"] - 1 for box in ground_truth)


def test_ledger_json_has_the_counts_of_the_ledger(chess):
    path = chess.splits["train"].annotation_file.parent / "ledger.json"
    ledger = json.loads(path.read_text())
    assert ledger["counts"] == chess.ledger.counts
    assert ledger["splits"]["train"] == {
        "images_used": 70, "images_left_out": 0, "boxes_used": 780, "boxes_left_out": 1}


@pytest.mark.parametrize("folder, message", [
    ("formats_voc100", "both Pascal VOC xml .* and COCO json"),
    ("formats_voc100/gts/coco_format_v1", "none of its 100 images exists"),
    ("formats_voc100/gts/coco_format_v2", "none of its 100 images exists"),
    ("formats_voc100/gts/pascalvoc_format", "none of its 100 images exists"),
    ("formats_voc100/gts/imagenet_format", "none of its 100 images exists"),
    ("formats_voc100/gts/yolo_format", "YOLO text .* not supported"),
    ("formats_voc100/gts/cvat_format", "CVAT xml .* not supported"),
    ("formats_voc100/gts/openimages_format", "a table .* not supported"),
    ("formats_voc100/dets/coco_format", "no|not"),
    ("eval_coco100", "two files could be the val split"),
    ("cls_trashnet", "no annotation file; the folder holds 600 images"),
    ("photos", "none of its 1 images exists, such as 'terrain1.jpg'"),
])
def test_unsupported_folders_are_named_in_the_error(shared_data, tmp_path, folder, message):
    with pytest.raises(DataError, match=message):
        load_detection_data(shared_data / folder, tmp_path)


def test_a_stated_area_that_no_box_can_hold_is_reported(shared_data):
    # sahi's file gives every box the area of the whole image, 2048 x 1365 = 2795520; and the
    # image was renamed, so that it is missing as well.
    ledger = check_coco(shared_data / "photos" / "sahi_terrain1_coco.json", shared_data / "photos")
    assert ledger.filter_by_code("missing_image")[0].image == "terrain1.jpg"


def test_a_config_that_names_the_chess_file_itself_is_checked(shared_data, chess):
    folder = shared_data / "det_chess_coco" / "train"
    file = folder / "_annotations.coco.json"
    ledger = check_coco(file, folder, chess.classes)
    assert ledger.errors == [] and ledger.count("duplicate_box") == 1
    assert {issue.resolution for issue in ledger.issues} == {"found"}
    reversed_ledger = check_coco(file, folder, chess.classes[::-1])
    (issue,) = reversed_ledger.filter_by_code("class_order")
    assert "label 0 is 'bishop' in the file and 'white-rook' in the config" in issue.message
    assert reversed_ledger.errors
