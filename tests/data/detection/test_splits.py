"""Splits of data that lacks them."""

import json

import numpy as np
import pytest
from PIL import Image
from small_sets import coco, draw, write_json

from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.images.image_frame import orient_box
from detkit.data.images.read_image import EXIF_TRANSPOSE
from detkit.errors import DataError


def flat(root, count, same=()):
    """``count`` images and one json; each number in ``same`` has the bytes of image 0."""
    names = [f"{i}.png" for i in range(count)]
    for i, name in enumerate(names):
        draw(root / name, seed=0 if i in same else i)
    write_json(root / "labels.json", coco(
        names, [(i, i % 2, [4, 5, 12, 10]) for i in range(count)]))
    return root


def names_of(data):
    return {name: {image["file_name"] for image in
                   json.loads(split.annotation_file.read_text())["images"]}
            for name, split in data.splits.items()}


def test_split_of_a_flat_folder_is_deterministic(tmp_path):
    root = flat(tmp_path / "set", 20)
    data = load_detection_data(root, tmp_path / "work")
    names = names_of(data)
    assert {split: len(held) for split, held in names.items()} == {
        "train": 16, "val": 2, "test": 2}
    assert set.union(*names.values()) == {f"{i}.png" for i in range(20)}
    assert names_of(load_detection_data(root, tmp_path / "again")) == names
    assert names_of(load_detection_data(root, tmp_path / "other", seed=1)) != names
    assert any("there are no splits: divided by seed 0" in note
               for note in data.ledger.notes)


def test_byte_identical_images_stay_in_one_split(tmp_path):
    same = {0, 3, 5, 7, 9}
    names = names_of(load_detection_data(flat(tmp_path / "set", 10, same), tmp_path / "work"))
    assert sum(bool({f"{i}.png" for i in same} & held) for held in names.values()) == 1


@pytest.mark.parametrize("count, sizes", [(2, (1, 1, 1)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_few_images(tmp_path, count, sizes):
    data = load_detection_data(flat(tmp_path / "set", count), tmp_path / "work")
    assert tuple(split.image_count for split in data.splits.values()) == sizes


@pytest.mark.parametrize("count, same", [(1, ()), (3, (0, 1, 2))])
def test_too_few_different_images_are_errors(tmp_path, count, same):
    with pytest.raises(DataError, match="at least 2 different images"):
        load_detection_data(flat(tmp_path / "set", count, same), tmp_path / "work")


@pytest.mark.parametrize("missing, other", [("val", "test"), ("test", "val")])
def test_missing_val_or_test_falls_back_to_the_other(coco_folder, tmp_path, missing, other):
    del coco_folder.ground_truth[missing]
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    assert names_of(data)[missing] == names_of(data)[other]
    assert f"there is no {missing} split: {other} is used in its place" in data.ledger.notes
    assert data.ledger.count("image_in_two_splits") == 0


def test_a_lone_train_split_is_divided(coco_folder, tmp_path):
    del coco_folder.ground_truth["val"], coco_folder.ground_truth["test"]
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    assert [split.image_count for split in data.splits.values()] == [1, 1, 1]
    assert any("there is only a train split: divided" in note for note in data.ledger.notes)


def test_a_folder_to_measure_on_needs_no_train_split(coco_folder, tmp_path):
    del coco_folder.ground_truth["train"]
    root = coco_folder.write()
    with pytest.raises(DataError, match="no train split, only val and test"):
        load_detection_data(root, tmp_path / "work")
    data = load_detection_data(root, tmp_path / "work", require_train=False)
    assert list(data.splits) == ["val", "test"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orient_box_matches_pillow_transpose(orientation):
    stored = Image.new("L", (12, 7))
    stored.paste(255, (3, 1, 8, 5))  # left 3, top 1, 5 wide, 4 high
    upright = stored.transpose(EXIF_TRANSPOSE[orientation]) if orientation > 1 else stored
    rows, columns = np.nonzero(np.asarray(upright))
    assert orient_box((3, 1, 5, 4), orientation, stored.size) == (
        columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


def test_the_built_in_sample_opens_without_a_fault(tmp_path, monkeypatch):
    from detkit.data.synthetic import sample
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "cache"))
    sample.make_sample(tmp_path / "cache" / f"sample-{sample.VERSION}-0", 0,
                       counts={"train": 12, "val": 10, "test": 10}, video_frames=0)
    data = load_detection_data("sample", tmp_path / "work")
    assert data.format == "sample" and data.classes == tuple(sample.CLASSES)
    assert {name: split.image_count for name, split in data.splits.items()} == {
        "train": 12, "val": 10, "test": 10}
    assert data.ledger.issues == []
