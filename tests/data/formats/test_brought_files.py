"""Data sets that people bring, after public reports: names, folders, lists, encodings, formats.

The right outcome of each stands in the README beside them; where the folder has no splits of its
own, 80, 10 and 10 % of the images, at least one each, are train, val and test.
"""

import json

import pytest

from detkit.data.classification.load_classification_data import load_classification_data
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.errors import DataError

# images of train, val and test; words of the notes
OPENED = {
    "cvat_subsets": ((5, 3, 3), []),
    "capital_image_folders": ((5, 3, 3), []),
    "cvat_subset_in_name": ((5, 3, 3), []),
    "voc_cvat_lists": ((7, 3, 3), []),
    "voc_cvat_subfolders": ((6, 1, 1), ["not read: default.txt"]),
    "mixed_slashes": ((7, 1, 1), ["4 file names are found with backslashes replaced by '/'"]),
    "percent_names": ((4, 1, 1), ["6 file names", "'my%20photo%201.jpg' as 'my photo 1.jpg'"]),
    "ls_local_files": ((4, 1, 1), ["6 file names", "as 'mon \u00e9t\u00e9 1.jpg'"]),
    "ls_windows_paths": ((4, 1, 1), ["6 file names", "as 'img1.jpg'"]),
    "nfd_names": ((2, 1, 1), []),
    "voc_utf8_no_hyphen": ((4, 1, 1), []),
    "voc_bom_utf16": ((4, 1, 1), []),
    "voc_upper_xml": ((4, 1, 1), []),
    "json_gz": ((2, 1, 1), []),
    "json_bom": ((2, 1, 1), []),
}


@pytest.mark.parametrize("name, images, words", [(name, *right) for name, right in OPENED.items()],
                         ids=OPENED.keys())
def test_all_images_and_boxes_are_used(shared_cases, tmp_path, name, images, words):
    data = load_detection_data(shared_cases / "data" / name, tmp_path)
    assert tuple(split.image_count for split in data.splits.values()) == images
    # Each image there has one box of 'a' and one of 'b'.
    assert all(split.box_count == 2 * split.image_count for split in data.splits.values())
    assert data.classes == ("a", "b") and data.ledger.issues == []
    for split in data.splits.values():
        for image in json.loads(split.annotation_file.read_text())["images"]:
            assert (split.image_dir / image["file_name"]).is_file()
    notes = "\n".join(data.ledger.notes)
    assert all(word in notes for word in words)


def test_a_name_composed_in_two_ways_is_one_class(shared_cases, tmp_path):
    data = load_detection_data(shared_cases / "data" / "class_names_nfd", tmp_path)
    assert data.classes == ("p\u00eache", "bl\u00e9")
    assert {name: split.box_count for name, split in data.splits.items()} == {
        "train": 12, "val": 8, "test": 8}
    assert data.ledger.counts == {"class_name_accents": 2}


REFUSED = {
    "fmt_yolo_tabs": "this is YOLO text .*img1.txt",
    "yolo_folder": "this is YOLO text",
    "heic_folder": r"IMG_0001\.HEIC and 1 more",
    "voc_cp1252_undeclared": r"p1\.xml: not xml",
    "voc_two_endings": r"p1\.(png|jpg) and .*p1\.(png|jpg)",
    "voc_lists_with_endings": "none of the 5 images of the train list has an xml",
    "same_base_names": "none of its 8 images exists",
    "odd_paths": "only 2 images can be used, 4 cannot",
}


@pytest.mark.parametrize("name, message", REFUSED.items(), ids=REFUSED.keys())
def test_unreadable_sets_are_errors_that_name_the_file(shared_cases, tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        load_detection_data(shared_cases / "data" / name, tmp_path)


@pytest.mark.parametrize("name, classes, images", [
    ("cls_capital_splits", ("cat", "dog", "owl"), [9, 6, 9]),
    ("cls_csv_windows", ("cat", "dog"), [6, 2, 2])])
def test_classification_folders_and_lists(shared_cases, tmp_path, name, classes, images):
    data = load_classification_data(shared_cases / "data" / name, tmp_path)
    assert data.classes == classes
    assert [split.image_count for split in data.splits.values()] == images
