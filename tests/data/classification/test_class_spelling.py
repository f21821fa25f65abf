"""Class names that look the same and have different Unicode forms."""

import json
import unicodedata

import pytest
from class_sets import ImageSet
from small_sets import coco, draw, voc_xml, write_json

from detkit.data.classification.load_classification_data import load_classification_data
from detkit.data.detection.annotation_check import check_coco
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.report.class_aliases import normalize_name, spelling_key

COMPOSED = "p\u00eache"
APART = "pe\u0302che"
assert unicodedata.normalize("NFD", COMPOSED) == APART


@pytest.mark.parametrize("name, done", [
    ("", ""), ("cat", "cat"), (" a  b\t", "a b"), (APART, COMPOSED), (COMPOSED, COMPOSED),
    ("\u1100\u1161", "\uac00"), ("\ufb01", "\ufb01")])
def test_a_tidy_name_has_its_accents_composed_and_its_blanks_single(name, done):
    assert normalize_name(name) == done


def test_near_names_do_not_differ_in_composition():
    assert spelling_key(APART.upper()) == spelling_key(COMPOSED)


def folder(root, train, val):
    for at, (split, classes) in enumerate((("train", train), ("val", val))):
        names = [f"{split}{number}.png" for number in range(2)]
        for number, name in enumerate(names):
            draw(root / split / name, seed=2 * at + number)
        boxes = [(number, label, [4 + 20 * label, 5, 12, 10]) for number in range(2)
                 for label in range(len(classes))]
        write_json(root / "annotations" / f"{split}.json", coco(names, boxes, classes))
    return root


@pytest.mark.parametrize("train, val", [
    ((COMPOSED, "b"), (APART, "b")), ((APART, "b"), (COMPOSED, "b")),
    ((APART, "b"), (APART, "b")), ((COMPOSED, APART, "b"), (APART, "b"))])
def test_two_compositions_are_one_class(tmp_path, train, val):
    data = load_detection_data(folder(tmp_path / "set", train, val), tmp_path / "work")
    assert data.classes == (COMPOSED, "b")
    assert data.splits["train"].box_count == 2 * len(train) and data.splits["val"].box_count == 4
    issues = data.ledger.filter_by_code("class_name_accents")
    assert len(issues) == (train + val).count(APART)
    # In plain print both names look the same.
    assert all(r"'pe\u0302che'" in issue.message for issue in issues)


@pytest.mark.parametrize("expected", [COMPOSED, APART])
@pytest.mark.parametrize("written", [COMPOSED, APART])
def test_a_checkpoints_classes_are_found_in_either_composition(tmp_path, expected, written):
    root = folder(tmp_path / "set", (written, "b"), (written, "b"))
    data = load_detection_data(root, tmp_path / "work", classes=(expected, "b"))
    assert data.classes == (expected, "b")  # the checkpoint's own spelling
    assert data.splits["train"].box_count == 4


def test_a_super_category_in_another_composition_is_no_class(tmp_path):
    root = folder(tmp_path / "set", ("cat", "dog"), ("cat", "dog"))
    for split in ("train", "val"):
        file = root / "annotations" / f"{split}.json"
        ground_truth = json.loads(file.read_text())
        for record in ground_truth["categories"]:
            record["supercategory"] = COMPOSED
        ground_truth["categories"].append({"id": 9, "name": APART, "supercategory": "none"})
        write_json(file, ground_truth)
    assert load_detection_data(root, tmp_path / "work").classes == ("cat", "dog")


def test_xml_files_may_mix_both(tmp_path):
    for at in range(6):
        draw(tmp_path / "set" / f"{at}.png", seed=at)
        (tmp_path / "set" / f"{at}.xml").write_text(voc_xml(
            f"{at}.png", objects=[((COMPOSED, APART)[at % 2], (1, 2, 30, 40))]), encoding="utf-8")
    data = load_detection_data(tmp_path / "set", tmp_path / "work")
    assert data.classes == (COMPOSED,)
    assert sum(split.box_count for split in data.splits.values()) == 6


def test_a_config_file_in_the_other_composition_is_an_error_with_the_cause(tmp_path):
    root = folder(tmp_path / "set", (APART, "b"), (APART, "b"))
    ledger = check_coco(root / "annotations" / "train.json", root / "train", (COMPOSED, "b"))
    issue = next(issue for issue in ledger.errors if issue.code == "missing_class")
    assert r"'pe\u0302che'" in issue.message and r"'p\xeache'" in issue.message


def test_class_folders_and_csv_labels(tmp_path):
    image_set = ImageSet(tmp_path / "set")
    folders = [f"Train/{COMPOSED}", "Train/b", f"VALIDATION/{APART}", "VALIDATION/b"]
    image_set.draw(*(f"{name}/{at}.jpg" for name in folders for at in range(3)))
    data = load_classification_data(tmp_path / "set", tmp_path / "work")
    assert data.classes == ("b", COMPOSED)
    assert [split.counts for split in data.splits.values()] == [(3, 3)] * 3
    assert data.ledger.counts == {"class_name_accents": 1}


def test_csv_labels_and_paths(tmp_path):
    image_set = ImageSet(tmp_path / "set")
    image_set.draw(*(f"my lot/{at}.jpg" for at in range(8)))
    ways = (r"my lot\{}.jpg", "my%20lot/{}.jpg", "my lot/{}.jpg", r"My Lot\{}.JPG")
    rows = [f"{ways[at % 4].format(at)},{(COMPOSED, 'b', APART, 'b')[at % 4]}" for at in range(8)]
    text = "\n".join(["Path,Label", *rows])
    (tmp_path / "set" / "LABELS.CSV").write_text(text, encoding="utf-8")
    data = load_classification_data(tmp_path / "set", tmp_path / "work")
    assert data.classes == ("b", COMPOSED)
    assert sum(split.image_count for split in data.splits.values()) == 8
    assert data.ledger.count("missing_image") == 0
    assert sum("file names are found" in note for note in data.ledger.notes) == 2
