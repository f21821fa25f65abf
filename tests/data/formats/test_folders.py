"""Detection of common folder layouts, and errors for other paths."""

import json
import os
from pathlib import Path

import pytest
from small_sets import coco, draw, voc_xml, write_json

from detkit.data.detection.annotations import split_from_name
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.errors import DataError

BOX = [4, 5, 12, 10]


def split_ground_truth(split, prefix=""):
    return coco([f"{prefix}{split}{i}.png" for i in range(2)],
                [(0, 0, BOX), (1, 1, BOX)])


def draw_split(folder, split, seed):
    for i in range(2):
        draw(folder / f"{split}{i}.png", seed=seed + i)


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
    json_path, image_dir, prefix = layout
    for seed, split in enumerate(("train", "val", "test")):
        draw_split(tmp_path / "set" / image_dir.format(split), split, seed * 10)
        write_json(tmp_path / "set" / json_path.format(split),
                   split_ground_truth(split, prefix.format(split)))
    data = load_detection_data(tmp_path / "set", tmp_path / "work")
    assert data.ledger.issues == [] and data.format == "coco"
    for split in data.splits.values():
        assert (split.image_count, split.box_count) == (2, 2)
        for image in json.loads(split.annotation_file.read_text())["images"]:
            assert (split.image_dir / image["file_name"]).is_file()


def test_roboflows_valid_is_val(tmp_path):
    for seed, name in enumerate(("train", "valid", "test")):
        draw_split(tmp_path / "set" / name, name, seed * 10)
        write_json(tmp_path / "set" / name / "_annotations.coco.json", split_ground_truth(name))
    data = load_detection_data(tmp_path / "set", tmp_path / "work")
    assert data.splits["val"].image_dir.name == "valid"


def voc_set(root, xml_dir, image_dir, lists=None, count=10):
    for i in range(count):
        draw(root / image_dir / f"{i}.png", seed=i)
        path = root / xml_dir / f"{i}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(voc_xml(f"{i}.png"))
    for name, stems in (lists or {}).items():
        path = root / Path(xml_dir).parent / "ImageSets" / "Main" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(stems) + "\n")
    return root


def counts(data):
    return {name: split.image_count for name, split in data.splits.items()}


@pytest.mark.parametrize("xml_dir, image_dir", [
    ("Annotations", "JPEGImages"),
    ("VOCdevkit/VOC2007/Annotations", "VOCdevkit/VOC2007/JPEGImages"),
    ("annotations", "images"), ("all", "all"), (".", "."),
], ids=["plain", "devkit", "kaggle", "side by side", "root"])
def test_voc_layouts_without_lists_are_divided_by_a_stated_seed(tmp_path, xml_dir, image_dir):
    data = load_detection_data(voc_set(tmp_path / "set", xml_dir, image_dir), tmp_path / "work")
    assert data.format == "voc" and counts(data) == {"train": 8, "val": 1, "test": 1}
    assert any("divided by seed 0 into train 8, val 1, test 1" in note
               for note in data.ledger.notes)


def test_voc_lists_make_the_splits(tmp_path):
    root = voc_set(tmp_path / "set", "Annotations", "JPEGImages", {
        "train": ["0", "1", "2"], "val": ["3", "4"], "trainval": list("01234"), "test": ["5"]})
    data = load_detection_data(root, tmp_path / "work")
    assert counts(data) == {"train": 3, "val": 2, "test": 1}
    assert data.ledger.count("not_in_any_list") == 4


def test_voc_trainval_without_train_leaves_out_what_val_holds(tmp_path):
    root = voc_set(tmp_path / "set", "Annotations", "JPEGImages",
                   {"trainval": list("01234567"), "val": ["6", "7"], "test": ["8", "9"]})
    assert counts(load_detection_data(root, tmp_path / "work")) == {"train": 6, "val": 2, "test": 2}


def test_voc_split_folders(tmp_path):
    for name in ("train", "valid", "test"):
        voc_set(tmp_path / "set", name, name, count=2)
    for i, name in enumerate(("train", "valid", "test")):
        draw(tmp_path / "set" / name / "0.png", seed=40 + i)
        draw(tmp_path / "set" / name / "1.png", seed=50 + i)
    assert counts(load_detection_data(tmp_path / "set", tmp_path / "work")) == {
        "train": 2, "val": 2, "test": 2}


def test_list_entries_without_annotation_are_reported(tmp_path):
    root = voc_set(tmp_path / "set", "Annotations", "JPEGImages", {
        "train": ["0", "1", "2", "2", "gone"], "val": ["3"], "test": ["4 1", "5 -1"]}, count=6)
    data = load_detection_data(root, tmp_path / "work")
    assert data.ledger.counts == {"missing_annotation": 1, "listed_twice": 1}
    assert counts(data) == {"train": 3, "val": 1, "test": 2}
    assert data.ledger.splits["train"].images_left_out == 1


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


COCO_TEXT = json.dumps(coco(["a.png"], [(0, 0, BOX)]))
INVALID_FOLDERS = {
    "empty folder": ({}, "no annotation file; the folder holds neither"),
    "images only": ({"a.png": "x"}, "no annotation file; the folder holds 1 images"),
    "empty json": ({"a.json": ""}, "a.json: the file is empty"),
    "cut json": ({"train.json": COCO_TEXT[:99]}, "train.json: not json, line 1"),
    "binary json": ({"a.json": b"\xff\xfe\x00\x81"}, "a.json: not a text file"),
    "results": ({"a.json": '[{"image_id": 1, "score": 0.5}]'}, "a results array of 1 detections"),
    "array": ({"a.json": "[]"}, "an array of 0 items"), "number": ({"a.json": "5"}, "a single int"),
    "other json": ({"a.json": '{"a": 1}'}, "the key 'images' is missing"),
    "images no list": ({"a.json": '{"images": 5, "annotations": [], "categories": []}'},
                       "'images' is a int"),
    "record no object": ({"a.json": '{"images": [3], "annotations": [], "categories": []}'},
                         r"images\[0\] is a int"),
    "no image listed": ({"a.json": '{"images": [], "annotations": [], "categories": []}'},
                        "it lists no image"),
    "huge number": ({"a.json": '{"images": ' + "9" * 5000 + "}"}, "a.json: not json"),
    "deep": ({"a.json": "[" * 100000}, "a.json: nested too deeply|a.json: not json"),
    "broken xml": ({"a.xml": "<annotation><object>"},
                   "a.xml: not xml"), "empty xml": ({"a.xml": ""}, "a.xml: not xml"),
    "no images": ({"a.json": COCO_TEXT}, "none of its 1 images exists, such as 'a.png'"),
    "labelme": ({"a.json": '{"shapes": [], "imagePath": "a.png"}'}, "a LabelMe file"),
    "yolo": ({"labels/a.txt": "0 0.5 0.5 0.1 0.2\n", "data.yaml": "names: [a]"},
             "YOLO text"), "yolo yaml": ({"data.yaml": "path: .\nnames:\n  0: a\n"}, "YOLO text"),
    "cvat": ({"a.xml": "<annotations><image id='0'/></annotations>"},
             "CVAT xml"), "csv": ({"a.csv": "file,xmin,ymin,xmax,ymax\n"},
                                  "a table"), "tfrecord": ({"a.tfrecord": b"\0"}, "TFRecord"),
    "two unnamed": ({"a.json": COCO_TEXT,
                     "b.json": COCO_TEXT}, "two files could be .*a.json and .*b.json"),
    "two for train": ({"train_a.json": COCO_TEXT,
                       "train_b.json": COCO_TEXT}, "two files could be the train split"),
    "two formats": ({"a.json": COCO_TEXT,
                     "xml/a.xml": voc_xml()}, "both Pascal VOC xml .* and COCO"),
    "two voc": ({"VOC2007/Annotations/a.xml": voc_xml(), "VOC2012/Annotations/a.xml": voc_xml()},
                "two folders of Pascal VOC files: .*VOC2007.* and .*VOC2012"),
    "val only": ({"val.json": COCO_TEXT, "a.png": "x"}, "no train split, only val"),
}


@pytest.mark.parametrize("files, message", INVALID_FOLDERS.values(), ids=INVALID_FOLDERS.keys())
def test_invalid_folders_raise_errors_with_the_reason(tmp_path, files, message):
    (tmp_path / "set").mkdir()
    for name, text in files.items():
        write(tmp_path / "set" / name, text)
    with pytest.raises(DataError, match=message):
        load_detection_data(tmp_path / "set", tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("path, message", [
    ("nothing/here", "nothing/here': no such folder"), ("", "'': no such folder"),
    ("a" * 300, "no such folder"), ("file.json", "a file")],
    ids=["missing", "empty", "too long", "file"])
def test_path_that_is_not_a_folder_is_an_error(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.json").write_text(COCO_TEXT)
    with pytest.raises(DataError, match=message):
        load_detection_data(path, tmp_path / "work")


def test_images_in_two_folders_that_cannot_be_reported_apart(tmp_path):
    for folder in ("images", "imgs"):
        draw(tmp_path / "set" / folder / "a.png")
    write(tmp_path / "set" / "coco.json", COCO_TEXT)
    with pytest.raises(DataError, match="two folders, .*images and .*imgs"):
        load_detection_data(tmp_path / "set", tmp_path / "work")


def test_captions_results_and_keypoints_beside_the_annotations_are_ignored(coco_folder, tmp_path):
    root = coco_folder.write()
    write(root / "annotations" / "captions_train.json", "{}")
    write(root / "test_results.json", "[]")
    write(root / "settings.json", "{ // with a comment }")
    data = load_detection_data(root, tmp_path / "work")
    assert data.ledger.issues == []
    assert any(note.startswith("not read: ") and "test_results.json" in note
               for note in data.ledger.notes)


def test_a_broken_split_is_never_ignored(coco_folder, tmp_path):
    root = coco_folder.write()
    (root / "annotations" / "val.json").write_text("")
    with pytest.raises(DataError, match="val.json: the file is empty"):
        load_detection_data(root, tmp_path / "work")


def test_run_output_inside_the_data_folder_is_ignored(coco_folder):
    root = coco_folder.write()
    for name in ("first", "second"):
        data = load_detection_data(root, root / "work_dirs" / name)
        assert counts(data) == {"train": 2, "val": 2, "test": 2}


def test_json_of_another_data_set_in_the_work_dir_is_not_overwritten(coco_folder, tmp_path):
    first = load_detection_data(coco_folder.write(), tmp_path / "work")
    train_bytes = first.splits["train"].annotation_file.read_bytes()
    root = voc_set(tmp_path / "other", "xml", "images")
    second = load_detection_data(root, tmp_path / "work")
    assert first.splits["train"].annotation_file.read_bytes() == train_bytes
    assert second.splits["train"].annotation_file.parent.name.startswith("data_")
    again = load_detection_data(coco_folder.root, tmp_path / "work")
    assert again.splits == first.splits


def test_a_linked_folder_is_followed(coco_folder, tmp_path):
    root = coco_folder.write()
    os.rename(root / "train", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", root / "train")
    os.symlink(root, root / "loop")
    assert load_detection_data(root, tmp_path / "work").ledger.issues == []


@pytest.mark.parametrize("name, word", [
    ("", None), ("instances_train2017", "train"), ("valid", "val"), ("Validation", "val"),
    ("test-dev", None), ("trainval", "train"), ("contest", None), ("training_set", "train"),
    ("train_val", None), ("instances_default", None)])
def test_split_words(name, word):
    assert split_from_name(name) == word
