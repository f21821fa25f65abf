"""Each issue of a COCO annotation: reported with file and id, and corrected or an error."""

import json
import math

import pytest

from detkit.data.detection.load_detection_data import load_detection_data
from detkit.errors import DataError


def load(folder, tmp_path, **options):
    return load_detection_data(folder.write(), tmp_path / "work", **options)


def boxes_of(data, split="train"):
    return json.loads(data.splits[split].annotation_file.read_text())["annotations"]


def test_good_data_has_an_empty_ledger(coco_folder, tmp_path):
    data = load(coco_folder, tmp_path)
    assert data.ledger.issues == [] and data.classes == ("cat", "dog")
    assert {name: (split.image_count, split.box_count) for name, split in data.splits.items()} == {
        "train": (2, 4), "val": (2, 4), "test": (2, 4)}
    assert [box["bbox"] for box in boxes_of(data)] == [
        [4, 5, 12, 10], [24, 5, 12, 10], [4, 5, 12, 10], [24, 5, 12, 10]]


# change of annotation 1 (image train0.png, 64x48) -> code, box written or None when left out
CHANGES = [
    pytest.param({"bbox": [4, 5, 0, 10]}, "zero_size_box", None, id="zero width"),
    pytest.param({"bbox": [4, 5, 12, 0]}, "zero_size_box", None, id="zero height"),
    pytest.param({"bbox": [14, 5, -10, 10]}, "negative_size_box", None, id="negative"),
    pytest.param({"bbox": [64, 5, 12, 10]}, "box_outside", None, id="right of the image"),
    pytest.param({"bbox": [-20, 5, 20, 10]}, "box_outside", None, id="left of the image"),
    pytest.param({"bbox": [60, -3, 12, 10]}, "box_clipped", [60, 0, 4, 7], id="partly outside"),
    pytest.param({"bbox": [4, 5, math.nan, 10]}, "not_a_box", None, id="nan"),
    pytest.param({"bbox": [4, 5, math.inf, 10]}, "not_a_box", None, id="infinite"),
    pytest.param({"bbox": [4, 5, 10 ** 400, 10]}, "not_a_box", None, id="beyond any float"),
    pytest.param({"bbox": [4, 5, 12]}, "not_a_box", None, id="three numbers"),
    pytest.param({"bbox": ["4", 5, 12, 10]}, "not_a_box", None, id="text"),
    pytest.param({"bbox": None}, "not_a_box", None, id="null"),
    pytest.param({"bbox": [24, 5, 12, 10], "category_id": 2}, "duplicate_box", [24, 5, 12, 10],
                 id="exact duplicate"),
    pytest.param({"bbox": [24, 5, 12, 10]}, "box_of_two_classes", [24, 5, 12, 10],
                 id="one box, two classes"),
    pytest.param({"bbox": [4, 5, 0.5, 10]}, "box_below_one_pixel", [4, 5, 0.5, 10],
                 id="half a pixel wide"),
    pytest.param({"image_id": 77}, "unknown_image", None, id="unknown image"),
    pytest.param({"image_id": [1]}, "unknown_image", None, id="image id is a list"),
    pytest.param({"id": 2}, "duplicate_annotation_id", [4, 5, 12, 10], id="duplicate id"),
    pytest.param({"id": 0}, "annotation_id_zero", [4, 5, 12, 10], id="id 0"),
    pytest.param({"id": None}, "annotation_without_id", [4, 5, 12, 10], id="no id"),
    pytest.param({"ignore": 1}, "ignore_flag", [4, 5, 12, 10], id="ignore"),
    pytest.param({"area": 64 * 48}, "area_too_large", [4, 5, 12, 10], id="area of the image"),
]


@pytest.mark.parametrize("change, code, written", CHANGES)
def test_bad_annotation_is_reported_with_file_and_id_and_others_are_kept(
        coco_folder, tmp_path, change, code, written):
    record = coco_folder.ground_truth["train"]["annotations"][0]
    record.update(change)
    data = load(coco_folder, tmp_path)
    assert list(data.ledger.counts) == [code]
    issue = data.ledger.issues[0]
    assert issue.file.endswith("train.json") and issue.split == "train"
    # Of two annotations with one id or box, the later is the one that is too many.
    later = code in ("duplicate_box", "box_of_two_classes", "duplicate_annotation_id")
    assert issue.annotation == (2 if later else record["id"])
    assert issue.image == (None if code == "unknown_image" else "train0.png")
    used = boxes_of(data)
    assert [box["id"] for box in used] == list(range(1, len(used) + 1))
    if written is None:
        assert len(used) == 3 and data.ledger.splits["train"].boxes_left_out == 1
    else:
        assert used[0]["bbox"] == written
        assert len(used) == (3 if code == "duplicate_box" else 4)


def test_ignore_becomes_iscrowd_so_that_no_loader_drops_it(coco_folder, tmp_path):
    coco_folder.ground_truth["train"]["annotations"][0]["ignore"] = 1
    assert boxes_of(load(coco_folder, tmp_path))[0]["iscrowd"] == 1


def test_iscrowd_and_a_sensible_area_are_kept(coco_folder, tmp_path):
    coco_folder.ground_truth["train"]["annotations"][0].update(iscrowd=1, area=77.5)
    box = boxes_of(load(coco_folder, tmp_path))[0]
    assert (box["iscrowd"], box["area"]) == (1, 77.5)


@pytest.mark.parametrize("area", [None, 0, -3, "", math.nan])
def test_missing_area_is_computed_from_the_box(coco_folder, tmp_path, area):
    coco_folder.ground_truth["train"]["annotations"][0]["area"] = area
    assert boxes_of(load(coco_folder, tmp_path))[0]["area"] == 12 * 10


def test_box_past_the_border_by_rounding_is_not_clipped(coco_folder, tmp_path):
    # 51.99 + 12.02 = 64.01: COCO's own files have such, rounded twice to 0.01.
    coco_folder.ground_truth["train"]["annotations"][0]["bbox"] = [51.99, 5, 12.02, 10]
    data = load(coco_folder, tmp_path)
    assert data.ledger.issues == [] and boxes_of(data)[0]["bbox"] == [51.99, 5, 12.02, 10]


def test_masks_are_counted_as_not_carried_over(coco_folder, tmp_path):
    coco_folder.ground_truth["train"]["annotations"][0]["segmentation"] = [[1, 1, 9, 1, 9, 9]]
    data = load(coco_folder, tmp_path)
    assert any("masks of 1 annotations" in note for note in data.ledger.notes)
    assert "segmentation" not in boxes_of(data)[0]


def test_an_unknown_category_is_an_error_and_the_ledger_still_written(coco_folder, tmp_path):
    for i in (0, 3):
        coco_folder.ground_truth["train"]["annotations"][i]["category_id"] = 9
    with pytest.raises(DataError, match=r"train.json, annotation 1, image 'train0.png': "
                       r"category_id 9 is not among the file's \[1, 2\] \(and 1 more"):
        load(coco_folder, tmp_path)
    ledger = json.loads((tmp_path / "work" / "data" / "ledger.json").read_text())
    assert [issue["annotation"] for issue in ledger["faults"]] == [1, 4]
    assert ledger["counts"] == {"unknown_category": 2}


def test_a_split_without_any_box_is_an_error(coco_folder, tmp_path):
    coco_folder.ground_truth["val"]["annotations"] = []
    with pytest.raises(DataError, match="val split has no usable box"):
        load(coco_folder, tmp_path)


def test_the_summary_names_kind_split_file_and_id(coco_folder, tmp_path, caplog):
    caplog.set_level("INFO", "detkit")
    for i in range(4):
        coco_folder.ground_truth["train"]["annotations"][i]["id"] = 0
    coco_folder.ground_truth["val"]["annotations"][3]["bbox"] = [1, 1, 0, 0]
    load(coco_folder, tmp_path)
    text = caplog.text
    assert "train: 2 images, 4 boxes used; not used: 0 images, 0 boxes" in text
    assert "val: 2 images, 3 boxes used; not used: 0 images, 1 boxes" in text
    assert "zero_size_box: 1 (val 1); left out" in text
    assert "annotations/val.json, annotation 4, image 'val1.png'" in text


def test_loading_never_writes_to_the_source_folder(coco_folder, tmp_path):
    coco_folder.ground_truth["train"]["annotations"][0]["bbox"] = [60, -3, 12, 10]
    root = coco_folder.write()
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    load_detection_data(root, tmp_path / "work")
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_nan_annotation_id_does_not_stop_writing_the_ledger(coco_folder, tmp_path):
    coco_folder.ground_truth["train"]["annotations"][0]["id"] = math.nan
    data = load(coco_folder, tmp_path)
    (issue,) = data.ledger.issues
    assert (issue.code, issue.annotation) == ("annotation_without_id", "nan")
    assert boxes_of(data)[0]["original_id"] is None
