"""Each issue of an image or its record."""

import json

import pytest
from PIL import Image
from small_sets import coco, draw, write_json

from detkit.data.detection.load_detection_data import load_detection_data
from detkit.errors import DataError


def load(folder, tmp_path):
    return load_detection_data(folder.write(), tmp_path / "work")


def images_of(data, split="train"):
    return json.loads(data.splits[split].annotation_file.read_text())["images"]


def add_third_image(folder, split="train", **save):
    """So that one bad image is not half of them."""
    name = f"{split}2.png"
    draw(folder.root / split / name, seed=99, **save)
    folder.ground_truth[split]["images"].append(
        {"id": 3, "file_name": name, "width": 64, "height": 48})
    folder.ground_truth[split]["annotations"].append(
        {"id": 5, "image_id": 3, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81})


@pytest.mark.parametrize("how, code", [("gone", "missing_image"), ("empty", "unreadable_image"),
                                       ("cut", "unreadable_image")])
def test_an_image_that_cannot_be_read_is_left_out_with_its_boxes(
        coco_folder, tmp_path, how, code):
    add_third_image(coco_folder)
    path = coco_folder.root / "train" / "train0.png"
    content = path.read_bytes()
    path.unlink() if how == "gone" else path.write_bytes(b"" if how == "empty" else content[:-30])
    data = load(coco_folder, tmp_path)
    (issue,) = data.ledger.issues
    assert (issue.code, issue.image, issue.resolution) == (
        code, "train0.png", "left out with its 2 boxes")
    count = data.ledger.splits["train"]
    assert (count.images_used, count.images_left_out, count.boxes_used, count.boxes_left_out) == (
        2, 1, 3, 2)


def test_most_images_missing_is_an_error(coco_folder, tmp_path):
    add_third_image(coco_folder)
    for name in ("train0.png", "train1.png"):
        (coco_folder.root / "train" / name).unlink()
    with pytest.raises(DataError, match="only 1 images can be used, 2 cannot"):
        load(coco_folder, tmp_path)


def test_image_whose_stated_size_contradicts_the_file_is_dropped(coco_folder, tmp_path):
    add_third_image(coco_folder)
    coco_folder.ground_truth["train"]["images"][0].update(width=640, height=480)
    (issue,) = load(coco_folder, tmp_path).ledger.issues
    assert issue.code == "size_differs" and "640x480" in issue.message and "64x48" in issue.message


def test_a_swapped_size_is_corrected_when_the_boxes_prove_it(coco_folder, tmp_path):
    # Stated 48x64; a box that reaches to x = 60 fits only the file's own 64x48.
    coco_folder.ground_truth["train"]["images"][0].update(width=48, height=64)
    coco_folder.ground_truth["train"]["annotations"][0]["bbox"] = [50, 5, 10, 10]
    data = load(coco_folder, tmp_path)
    assert data.ledger.counts == {"size_corrected": 1}
    assert (images_of(data)[0]["width"], images_of(data)[0]["height"]) == (64, 48)


@pytest.mark.parametrize("size", [{"width": None}, {"height": 0}, {"width": "64"}])
def test_a_missing_size_is_filled_in_from_the_file(coco_folder, tmp_path, size):
    coco_folder.ground_truth["train"]["images"][0].update(size)
    data = load(coco_folder, tmp_path)
    assert data.ledger.counts == {"size_missing": 1}
    assert (images_of(data)[0]["width"], images_of(data)[0]["height"]) == (64, 48)


def turned_set(root, annotated_wh, orientation=6):
    """One 64x48 photograph shown as 48x64 among upright ones; its box is [10, 4, 20, 8]."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    draw(root / "images" / "turned.jpg", seed=1, exif=exif)
    for i in range(9):
        draw(root / "images" / f"{i}.jpg", seed=2 + i)
    ground_truth = coco(["turned.jpg"] + [f"{i}.jpg" for i in range(9)],
                        [(i, 0, [10, 4, 20, 8]) for i in range(10)], classes=("cat", ))
    ground_truth["images"][0].update(width=annotated_wh[0], height=annotated_wh[1])
    write_json(root / "coco.json", ground_truth)
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


def test_boxes_drawn_on_the_upright_image_are_unchanged(tmp_path):
    data = load_detection_data(turned_set(tmp_path / "set", (48, 64)), tmp_path / "work")
    assert data.ledger.issues == []
    assert box_of_turned(data) == ([10, 4, 20, 8], (48, 64))


def test_boxes_drawn_on_the_stored_image_are_rotated_and_reported(tmp_path):
    data = load_detection_data(turned_set(tmp_path / "set", (64, 48)), tmp_path / "work")
    (issue,) = data.ledger.issues
    assert (issue.code, issue.image) == ("exif_turned", "turned.jpg")
    # Rotated clockwise by 90 degrees, the new x is counted from the old bottom:
    # x = 48 - (4 + 8) = 36, y = 10, width and height change places.
    assert box_of_turned(data) == ([36, 10, 8, 20], (48, 64))


def test_exif_rotation_by_180_degrees_is_reported_as_unsure(tmp_path):
    data = load_detection_data(turned_set(tmp_path / "set", (64, 48), orientation=3),
                               tmp_path / "work")
    assert data.ledger.counts == {"exif_unsure": 1}


def test_one_image_listed_twice_is_merged(coco_folder, tmp_path):
    ground_truth = coco_folder.ground_truth["train"]
    ground_truth["images"].append({**ground_truth["images"][0], "id": 3})
    ground_truth["annotations"].append(
        {"id": 5, "image_id": 3, "category_id": 1, "bbox": [1, 1, 9, 9]})
    data = load(coco_folder, tmp_path)
    assert data.ledger.counts == {"duplicate_image": 1}
    assert (data.splits["train"].image_count, data.splits["train"].box_count) == (2, 5)


def test_one_id_for_two_images_is_an_error(coco_folder, tmp_path):
    coco_folder.ground_truth["train"]["images"][1]["id"] = 1
    with pytest.raises(DataError, match="image id 1 is used for 'train0.png' and for 'train1.png'"):
        load(coco_folder, tmp_path)


@pytest.mark.parametrize("record", [{"file_name": "a.png"}, {"id": 3}, {"id": 3, "file_name": 5},
                                    {"id": None, "file_name": "a.png"}])
def test_a_record_without_id_or_name_is_left_out(coco_folder, tmp_path, record):
    coco_folder.ground_truth["train"]["images"].append(record)
    data = load(coco_folder, tmp_path)
    assert data.ledger.counts == {"image_record": 1}
    assert data.ledger.splits["train"].images_left_out == 1


def test_image_id_zero_is_renumbered_and_kept_as_a_field(coco_folder, tmp_path):
    ground_truth = coco_folder.ground_truth["val"]
    ground_truth["images"][0]["id"] = 0
    for box in ground_truth["annotations"][:2]:
        box["image_id"] = 0
    data = load(coco_folder, tmp_path)
    assert data.ledger.counts == {"image_id_zero": 1}
    assert [(image["id"], image["original_id"]) for image in images_of(data, "val")] == [
        (1, 0), (2, 2)]


def test_an_empty_image_is_kept_as_background_and_reported(coco_folder, tmp_path):
    del coco_folder.ground_truth["train"]["annotations"][2:]
    data = load(coco_folder, tmp_path)
    assert data.ledger.counts == {"image_without_boxes": 1}
    assert data.splits["train"].image_count == 2


def test_the_same_bytes_in_two_splits_are_reported_with_both_names(coco_folder, tmp_path):
    source = coco_folder.root / "train" / "train1.png"
    (coco_folder.root / "test" / "test0.png").write_bytes(source.read_bytes())
    (issue,) = load(coco_folder, tmp_path).ledger.issues
    assert issue.code == "image_in_two_splits"
    assert "train1.png (train)" in issue.message and "test0.png (test)" in issue.message


def test_images_without_annotation_record_are_reported(coco_folder, tmp_path):
    draw(coco_folder.root / "val" / "extra.png", seed=5)
    (issue,) = load(coco_folder, tmp_path).ledger.issues
    assert issue.code == "images_without_record" and "extra.png" in issue.message


@pytest.mark.parametrize("annotated_name, on_disk", [
    ("TRAIN0.PNG", "train0.png"), ("train\\train0.png", "train0.png"),
    ("e\u0301t\u00e9 \u732b.png", "\u00e9t\u00e9 \u732b.png"), ("a b%.png", "a b%.png"),
], ids=["case", "windows", "accents", "blank"])
def test_file_names_differing_in_case_or_unicode_form_are_found(
        coco_folder, tmp_path, annotated_name, on_disk):
    folder = coco_folder.root / "train"
    (folder / "train0.png").rename(folder / on_disk)
    coco_folder.ground_truth["train"]["images"][0]["file_name"] = annotated_name
    if "\\" in annotated_name:
        coco_folder.ground_truth["train"]["images"][1]["file_name"] = "train\\train1.png"
    data = load(coco_folder, tmp_path)
    assert data.ledger.issues == [] and images_of(data)[0]["file_name"] in (
        on_disk, f"train/{on_disk}")


@pytest.mark.parametrize("name", ["a" * 5000 + ".png", "nul\0.png", "../../../etc/passwd", "."])
def test_hostile_names_are_missing_images(coco_folder, tmp_path, name):
    add_third_image(coco_folder)
    coco_folder.ground_truth["train"]["images"][0]["file_name"] = name
    kinds = load(coco_folder, tmp_path).ledger.counts
    assert kinds.get("missing_image", 0) + kinds.get("unreadable_image", 0) == 1
