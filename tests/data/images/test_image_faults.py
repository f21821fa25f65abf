"""Each fault of an image or its record."""

import json

import pytest
from PIL import Image
from small_sets import coco, draw, write_json

from detkit.data.detection.load_detection_data import open_data
from detkit.errors import DataError


def opened(folder, tmp_path):
    return open_data(folder.write(), tmp_path / "work")


def images_of(data, split="train"):
    return json.loads(data.splits[split].annotation_file.read_text())["images"]


def add_third_image(folder, split="train", **save):
    """So that one bad image is not half of them."""
    name = f"{split}2.png"
    draw(folder.root / split / name, seed=99, **save)
    folder.truth[split]["images"].append(
        {"id": 3, "file_name": name, "width": 64, "height": 48})
    folder.truth[split]["annotations"].append(
        {"id": 5, "image_id": 3, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81})


@pytest.mark.parametrize("how, kind", [("gone", "missing_image"), ("empty", "unreadable_image"),
                                       ("cut", "unreadable_image")])
def test_an_image_that_cannot_be_read_is_left_out_with_its_boxes(
        coco_folder, tmp_path, how, kind):
    add_third_image(coco_folder)
    path = coco_folder.root / "train" / "train0.png"
    whole = path.read_bytes()
    path.unlink() if how == "gone" else path.write_bytes(b"" if how == "empty" else whole[:-30])
    data = opened(coco_folder, tmp_path)
    (fault,) = data.ledger.faults
    assert (fault.kind, fault.image, fault.action) == (
        kind, "train0.png", "left out with its 2 boxes")
    count = data.ledger.splits["train"]
    assert (count.images_used, count.images_left_out, count.boxes_used, count.boxes_left_out) == (
        2, 1, 3, 2)


def test_more_images_missing_than_there_is_refused(coco_folder, tmp_path):
    add_third_image(coco_folder)
    for name in ("train0.png", "train1.png"):
        (coco_folder.root / "train" / name).unlink()
    with pytest.raises(DataError, match="only 1 images can be used and 2 can not"):
        opened(coco_folder, tmp_path)


def test_a_size_that_is_neither_is_left_out(coco_folder, tmp_path):
    add_third_image(coco_folder)
    coco_folder.truth["train"]["images"][0].update(width=640, height=480)
    (fault,) = opened(coco_folder, tmp_path).ledger.faults
    assert fault.kind == "size_differs" and "640x480" in fault.what and "64x48" in fault.what


def test_a_swapped_size_is_corrected_when_the_boxes_prove_it(coco_folder, tmp_path):
    # Stated 48x64; a box that reaches to x = 60 fits only the file's own 64x48.
    coco_folder.truth["train"]["images"][0].update(width=48, height=64)
    coco_folder.truth["train"]["annotations"][0]["bbox"] = [50, 5, 10, 10]
    data = opened(coco_folder, tmp_path)
    assert data.ledger.counts == {"size_corrected": 1}
    assert (images_of(data)[0]["width"], images_of(data)[0]["height"]) == (64, 48)


@pytest.mark.parametrize("size", [{"width": None}, {"height": 0}, {"width": "64"}])
def test_a_missing_size_is_filled_in_from_the_file(coco_folder, tmp_path, size):
    coco_folder.truth["train"]["images"][0].update(size)
    data = opened(coco_folder, tmp_path)
    assert data.ledger.counts == {"size_missing": 1}
    assert (images_of(data)[0]["width"], images_of(data)[0]["height"]) == (64, 48)


def turned_set(root, stated_wh, orientation=6):
    """One 64x48 photograph shown as 48x64 among upright ones; its box is [10, 4, 20, 8]."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    draw(root / "images" / "turned.jpg", seed=1, exif=exif)
    for at in range(9):
        draw(root / "images" / f"{at}.jpg", seed=2 + at)
    truth = coco(["turned.jpg"] + [f"{at}.jpg" for at in range(9)],
                 [(at, 0, [10, 4, 20, 8]) for at in range(10)], classes=("cat",))
    truth["images"][0].update(width=stated_wh[0], height=stated_wh[1])
    write_json(root / "coco.json", truth)
    return root


def box_of_turned(data):
    for split in data.splits.values():
        content = json.loads(split.annotation_file.read_text())
        for image in content["images"]:
            if image["file_name"] == "turned.jpg":
                (box,) = [box["bbox"] for box in content["annotations"]
                          if box["image_id"] == image["id"]]
                return box, (image["width"], image["height"])
    raise AssertionError("not in any split")


def test_boxes_in_the_upright_frame_stay(tmp_path):
    data = open_data(turned_set(tmp_path / "set", (48, 64)), tmp_path / "work")
    assert data.ledger.faults == []
    assert box_of_turned(data) == ([10, 4, 20, 8], (48, 64))


def test_boxes_in_the_stored_frame_are_turned_and_told(tmp_path):
    data = open_data(turned_set(tmp_path / "set", (64, 48)), tmp_path / "work")
    (fault,) = data.ledger.faults
    assert (fault.kind, fault.image) == ("exif_turned", "turned.jpg")
    # Turned clockwise by a quarter the new x is counted from the old bottom:
    # x = 48 - (4 + 8) = 36, y = 10, width and height change places.
    assert box_of_turned(data) == ([36, 10, 8, 20], (48, 64))


def test_a_half_turn_cannot_be_told_and_is_said(tmp_path):
    data = open_data(turned_set(tmp_path / "set", (64, 48), orientation=3), tmp_path / "work")
    assert data.ledger.counts == {"exif_unsure": 1}


def test_one_image_listed_twice_is_merged(coco_folder, tmp_path):
    truth = coco_folder.truth["train"]
    truth["images"].append({**truth["images"][0], "id": 3})
    truth["annotations"].append({"id": 5, "image_id": 3, "category_id": 1, "bbox": [1, 1, 9, 9]})
    data = opened(coco_folder, tmp_path)
    assert data.ledger.counts == {"duplicate_image": 1}
    assert (data.splits["train"].image_count, data.splits["train"].box_count) == (2, 5)


def test_one_id_for_two_images_is_refused(coco_folder, tmp_path):
    coco_folder.truth["train"]["images"][1]["id"] = 1
    with pytest.raises(DataError, match="image id 1 stands for 'train0.png' and for 'train1.png'"):
        opened(coco_folder, tmp_path)


@pytest.mark.parametrize("record", [{"file_name": "a.png"}, {"id": 3}, {"id": 3, "file_name": 5},
                                    {"id": None, "file_name": "a.png"}])
def test_a_record_without_id_or_name_is_left_out(coco_folder, tmp_path, record):
    coco_folder.truth["train"]["images"].append(record)
    data = opened(coco_folder, tmp_path)
    assert data.ledger.counts == {"image_record": 1}
    assert data.ledger.splits["train"].images_left_out == 1


def test_image_id_zero_is_renumbered_and_kept_as_a_field(coco_folder, tmp_path):
    truth = coco_folder.truth["val"]
    truth["images"][0]["id"] = 0
    for box in truth["annotations"][:2]:
        box["image_id"] = 0
    data = opened(coco_folder, tmp_path)
    assert data.ledger.counts == {"image_id_zero": 1}
    assert [(image["id"], image["original_id"]) for image in images_of(data, "val")] == [
        (1, 0), (2, 2)]


def test_an_empty_image_is_kept_as_background_and_told(coco_folder, tmp_path):
    del coco_folder.truth["train"]["annotations"][2:]
    data = opened(coco_folder, tmp_path)
    assert data.ledger.counts == {"image_without_boxes": 1}
    assert data.splits["train"].image_count == 2


def test_the_same_bytes_in_two_splits_are_told_with_both_names(coco_folder, tmp_path):
    source = coco_folder.root / "train" / "train1.png"
    (coco_folder.root / "test" / "test0.png").write_bytes(source.read_bytes())
    (fault,) = opened(coco_folder, tmp_path).ledger.faults
    assert fault.kind == "image_in_two_splits"
    assert "train1.png (train)" in fault.what and "test0.png (test)" in fault.what


def test_images_that_no_annotation_names_are_counted(coco_folder, tmp_path):
    draw(coco_folder.root / "val" / "extra.png", seed=5)
    (fault,) = opened(coco_folder, tmp_path).ledger.faults
    assert fault.kind == "images_without_record" and "extra.png" in fault.what


@pytest.mark.parametrize("stated, on_disk", [
    ("TRAIN0.PNG", "train0.png"), ("train\\train0.png", "train0.png"),
    ("e\u0301t\u00e9 \u732b.png", "\u00e9t\u00e9 \u732b.png"), ("a b%.png", "a b%.png"),
], ids=["case", "windows", "accents", "blank"])
def test_names_that_differ_only_as_file_systems_do_are_found(
        coco_folder, tmp_path, stated, on_disk):
    folder = coco_folder.root / "train"
    (folder / "train0.png").rename(folder / on_disk)
    coco_folder.truth["train"]["images"][0]["file_name"] = stated
    if "\\" in stated:
        coco_folder.truth["train"]["images"][1]["file_name"] = "train\\train1.png"
    data = opened(coco_folder, tmp_path)
    assert data.ledger.faults == [] and images_of(data)[0]["file_name"] in (
        on_disk, f"train/{on_disk}")


@pytest.mark.parametrize("name", ["a" * 5000 + ".png", "nul\0.png", "../../../etc/passwd", "."])
def test_hostile_names_are_missing_images(coco_folder, tmp_path, name):
    add_third_image(coco_folder)
    coco_folder.truth["train"]["images"][0]["file_name"] = name
    kinds = opened(coco_folder, tmp_path).ledger.counts
    assert kinds.get("missing_image", 0) + kinds.get("unreadable_image", 0) == 1
