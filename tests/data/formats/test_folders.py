"""Layouts that people have, found by looking; and what else may stand at a path."""

import json
import os
from pathlib import Path

import pytest
from small_sets import coco, draw, voc_xml, write_json

from detkit.data.detection.annotations import split_word
from detkit.data.detection.load_detection_data import open_data
from detkit.errors import DataError

BOX = [4, 5, 12, 10]


def split_truth(split, prefix=""):
    return coco([f"{prefix}{split}{at}.png" for at in range(2)],
                [(0, 0, BOX), (1, 1, BOX)])


def draw_split(folder, split, seed):
    for at in range(2):
        draw(folder / f"{split}{at}.png", seed=seed + at)


# how annotation files, image folders and prefixes of file names stand to each other
LAYOUTS = {
    "coco 2017": ("annotations/instances_{}2017.json", "{}2017", ""),
    "annotations folder": ("annotations/{}.json", "{}", ""),
    "images folder": ("annotations/{}.json", "images/{}", ""),
    "all images together": ("annotations/{}.json", "images", ""),
    "beside the json": ("{}.json", ".", ""),
    "roboflow": ("{}/_annotations.coco.json", "{}", ""),
    "folder with images in it": ("{}/labels.json", "{}/images", ""),
    "names with folders": ("annotations/{}.json", "{}", "{}/"),
    "nested": ("export/v1/annotations/{}.json", "export/v1/{}", ""),
    "long words": ("annotations/{}_set.json", "{}", ""),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_coco_layouts(tmp_path, layout):
    json_at, images_at, prefix = layout
    for seed, split in enumerate(("train", "val", "test")):
        draw_split(tmp_path / "set" / images_at.format(split), split, seed * 10)
        write_json(tmp_path / "set" / json_at.format(split),
                   split_truth(split, prefix.format(split)))
    data = open_data(tmp_path / "set", tmp_path / "work")
    assert data.ledger.faults == [] and data.format == "coco"
    for split in data.splits.values():
        assert (split.image_count, split.box_count) == (2, 2)
        for image in json.loads(split.annotation_file.read_text())["images"]:
            assert (split.image_dir / image["file_name"]).is_file()


def test_roboflows_valid_is_val(tmp_path):
    for seed, name in enumerate(("train", "valid", "test")):
        draw_split(tmp_path / "set" / name, name, seed * 10)
        write_json(tmp_path / "set" / name / "_annotations.coco.json", split_truth(name))
    data = open_data(tmp_path / "set", tmp_path / "work")
    assert data.splits["val"].image_dir.name == "valid"


def voc_set(root, xml_at, images_at, lists=None, count=10):
    for at in range(count):
        draw(root / images_at / f"{at}.png", seed=at)
        path = root / xml_at / f"{at}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(voc_xml(f"{at}.png"))
    for name, stems in (lists or {}).items():
        path = root / Path(xml_at).parent / "ImageSets" / "Main" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(stems) + "\n")
    return root


def counts(data):
    return {name: split.image_count for name, split in data.splits.items()}


@pytest.mark.parametrize("xml_at, images_at", [
    ("Annotations", "JPEGImages"),
    ("VOCdevkit/VOC2007/Annotations", "VOCdevkit/VOC2007/JPEGImages"),
    ("annotations", "images"), ("all", "all"), (".", "."),
], ids=["plain", "devkit", "kaggle", "side by side", "root"])
def test_voc_layouts_without_lists_are_divided_by_a_stated_seed(tmp_path, xml_at, images_at):
    data = open_data(voc_set(tmp_path / "set", xml_at, images_at), tmp_path / "work")
    assert data.format == "voc" and counts(data) == {"train": 8, "val": 1, "test": 1}
    assert any("divided by seed 0 into train 8, val 1, test 1" in note
               for note in data.ledger.notes)


def test_voc_lists_make_the_splits(tmp_path):
    root = voc_set(tmp_path / "set", "Annotations", "JPEGImages", {
        "train": ["0", "1", "2"], "val": ["3", "4"], "trainval": list("01234"), "test": ["5"]})
    data = open_data(root, tmp_path / "work")
    assert counts(data) == {"train": 3, "val": 2, "test": 1}
    assert data.ledger.count("not_in_any_list") == 4


def test_voc_trainval_without_train_leaves_out_what_val_holds(tmp_path):
    root = voc_set(tmp_path / "set", "Annotations", "JPEGImages",
                   {"trainval": list("01234567"), "val": ["6", "7"], "test": ["8", "9"]})
    assert counts(open_data(root, tmp_path / "work")) == {"train": 6, "val": 2, "test": 2}


def test_voc_split_folders(tmp_path):
    for name in ("train", "valid", "test"):
        voc_set(tmp_path / "set", name, name, count=2)
    for at, name in enumerate(("train", "valid", "test")):
        draw(tmp_path / "set" / name / "0.png", seed=40 + at)
        draw(tmp_path / "set" / name / "1.png", seed=50 + at)
    assert counts(open_data(tmp_path / "set", tmp_path / "work")) == {
        "train": 2, "val": 2, "test": 2}


def test_a_list_that_names_what_is_not_there_is_told(tmp_path):
    root = voc_set(tmp_path / "set", "Annotations", "JPEGImages", {
        "train": ["0", "1", "2", "2", "gone"], "val": ["3"], "test": ["4 1", "5 -1"]}, count=6)
    data = open_data(root, tmp_path / "work")
    assert data.ledger.counts == {"missing_annotation": 1, "listed_twice": 1}
    assert counts(data) == {"train": 3, "val": 1, "test": 2}
    assert data.ledger.splits["train"].images_left_out == 1


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


TRUTH = json.dumps(coco(["a.png"], [(0, 0, BOX)]))
WRONG = {
    "empty folder": ({}, "no annotation file; the folder holds neither"),
    "images only": ({"a.png": "x"}, "no annotation file; the folder holds 1 images"),
    "empty json": ({"a.json": ""}, "a.json: the file is empty"),
    "cut json": ({"train.json": TRUTH[:99]}, "train.json: not json, line 1"),
    "binary json": ({"a.json": b"\xff\xfe\x00\x81"}, "a.json: not a text file"),
    "results": ({"a.json": '[{"image_id": 1, "score": 0.5}]'}, "a results array of 1 detections"),
    "array": ({"a.json": "[]"}, "an array of 0 items"),
    "number": ({"a.json": "5"}, "a single int"),
    "other json": ({"a.json": '{"a": 1}'}, "the key 'images' is missing"),
    "images no list": ({"a.json": '{"images": 5, "annotations": [], "categories": []}'},
                       "'images' is a int"),
    "record no object": ({"a.json": '{"images": [3], "annotations": [], "categories": []}'},
                         r"images\[0\] is a int"),
    "no image listed": ({"a.json": '{"images": [], "annotations": [], "categories": []}'},
                        "it lists no image"),
    "huge number": ({"a.json": '{"images": ' + "9" * 5000 + "}"}, "a.json: not json"),
    "deep": ({"a.json": "[" * 100000}, "a.json: nested too deeply|a.json: not json"),
    "broken xml": ({"a.xml": "<annotation><object>"}, "a.xml: not xml"),
    "empty xml": ({"a.xml": ""}, "a.xml: not xml"),
    "no images": ({"a.json": TRUTH}, "none of its 1 images is there, such as 'a.png'"),
    "labelme": ({"a.json": '{"shapes": [], "imagePath": "a.png"}'}, "a LabelMe file"),
    "yolo": ({"labels/a.txt": "0 0.5 0.5 0.1 0.2\n", "data.yaml": "names: [a]"}, "YOLO text"),
    "yolo yaml": ({"data.yaml": "path: .\nnames:\n  0: a\n"}, "YOLO text"),
    "cvat": ({"a.xml": "<annotations><image id='0'/></annotations>"}, "CVAT xml"),
    "csv": ({"a.csv": "file,xmin,ymin,xmax,ymax\n"}, "a table"),
    "tfrecord": ({"a.tfrecord": b"\0"}, "TFRecord"),
    "two unnamed": ({"a.json": TRUTH, "b.json": TRUTH}, "two files could be .*a.json and .*b.json"),
    "two for train": ({"train_a.json": TRUTH, "train_b.json": TRUTH},
                      "two files could be the train split"),
    "two formats": ({"a.json": TRUTH, "xml/a.xml": voc_xml()}, "both Pascal VOC xml .* and COCO"),
    "two voc": ({"VOC2007/Annotations/a.xml": voc_xml(), "VOC2012/Annotations/a.xml": voc_xml()},
                "two folders of Pascal VOC files: .*VOC2007.* and .*VOC2012"),
    "val only": ({"val.json": TRUTH, "a.png": "x"}, "no train split, only val"),
}


@pytest.mark.parametrize("files, message", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_opened_says_why(tmp_path, files, message):
    (tmp_path / "set").mkdir()
    for name, text in files.items():
        write(tmp_path / "set" / name, text)
    with pytest.raises(DataError, match=message):
        open_data(tmp_path / "set", tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("path, message", [
    ("nothing/here", "nothing/here': no such folder"), ("", "'': no such folder"),
    ("a" * 300, "no such folder"), ("file.json", "a file")],
    ids=["missing", "empty", "too long", "file"])
def test_a_path_that_is_no_folder(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.json").write_text(TRUTH)
    with pytest.raises(DataError, match=message):
        open_data(path, tmp_path / "work")


def test_images_in_two_folders_that_cannot_be_told_apart(tmp_path):
    for folder in ("images", "imgs"):
        draw(tmp_path / "set" / folder / "a.png")
    write(tmp_path / "set" / "coco.json", TRUTH)
    with pytest.raises(DataError, match="two folders, .*images and .*imgs"):
        open_data(tmp_path / "set", tmp_path / "work")


def test_captions_results_and_keypoints_beside_the_truth_are_passed_over(coco_folder, tmp_path):
    root = coco_folder.write()
    write(root / "annotations" / "captions_train.json", "{}")
    write(root / "test_results.json", "[]")
    write(root / "settings.json", "{ // with a comment }")
    data = open_data(root, tmp_path / "work")
    assert data.ledger.faults == []
    assert any(note.startswith("not read: ") and "test_results.json" in note
               for note in data.ledger.notes)


def test_a_broken_split_is_never_passed_over(coco_folder, tmp_path):
    root = coco_folder.write()
    (root / "annotations" / "val.json").write_text("")
    with pytest.raises(DataError, match="val.json: the file is empty"):
        open_data(root, tmp_path / "work")


def test_what_a_run_wrote_inside_the_folder_is_not_taken_for_data(coco_folder):
    root = coco_folder.write()
    for name in ("first", "second"):
        data = open_data(root, root / "work_dirs" / name)
        assert counts(data) == {"train": 2, "val": 2, "test": 2}


def test_another_sets_json_in_the_work_dir_is_left_alone(coco_folder, tmp_path):
    first = open_data(coco_folder.write(), tmp_path / "work")
    held = first.splits["train"].annotation_file.read_bytes()
    root = voc_set(tmp_path / "other", "xml", "images")
    second = open_data(root, tmp_path / "work")
    assert first.splits["train"].annotation_file.read_bytes() == held
    assert second.splits["train"].annotation_file.parent.name.startswith("data_")
    again = open_data(coco_folder.root, tmp_path / "work")
    assert again.splits == first.splits


def test_a_linked_folder_is_followed(coco_folder, tmp_path):
    root = coco_folder.write()
    os.rename(root / "train", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", root / "train")
    os.symlink(root, root / "loop")
    assert open_data(root, tmp_path / "work").ledger.faults == []


@pytest.mark.parametrize("name, word", [
    ("", None), ("instances_train2017", "train"), ("valid", "val"), ("Validation", "val"),
    ("test-dev", None), ("trainval", "train"), ("contest", None), ("training_set", "train"),
    ("train_val", None), ("instances_default", None)])
def test_split_words(name, word):
    assert split_word(name) == word
