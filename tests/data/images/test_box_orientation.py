"""The orientation of boxes where EXIF or the annotated size leave two possibilities."""

import json

import pytest
from drawn_objects import count_boxes_on_objects
from PIL import Image
from small_sets import coco, draw, write_json

from detkit.data.detection.load_detection_data import load_detection_data

# In an image stored 64x48, upright 48x64: fits both, only the upright, only the stored image.
BOTH, UPRIGHT, STORED = [10, 4, 20, 8], [10, 50, 20, 10], [50, 4, 10, 20]


def rotated_set(root, boxes, annotated_wh=(64, 48)):
    """One photograph with EXIF orientation 6 for each list of boxes."""
    exif = Image.Exif()
    exif[0x0112] = 6
    names = [f"{i}.jpg" for i in range(len(boxes))]
    for i, name in enumerate(names):
        draw(root / "images" / name, seed=i, exif=exif)
    write_json(root / "coco.json", coco(
        names, [(i, 0, box) for i, image_boxes in enumerate(boxes) for box in image_boxes],
        classes=("cat",), size_wh=annotated_wh))
    return root


def boxes_by_image(data):
    result = {}
    for split in data.splits.values():
        content = json.loads(split.annotation_file.read_text())
        names = {image["id"]: image["file_name"] for image in content["images"]}
        for box in content["annotations"]:
            result.setdefault(names[box["image_id"]], {})[tuple(box["bbox"])] = 1
    return {name: [list(box) for box in boxes] for name, boxes in result.items()}


def test_three_clear_images_decide_the_ambiguous_ones(tmp_path):
    boxes = [[BOTH]] * 3 + [[BOTH, UPRIGHT]] * 3
    data = load_detection_data(rotated_set(tmp_path / "set", boxes), tmp_path / "work")
    assert data.ledger.counts == {"size_corrected": 6}
    assert all(BOTH in result for result in boxes_by_image(data).values())
    assert any("9 of 9 boxes fit the upright image, 6 the" in note for note in data.ledger.notes)


def test_boxes_in_the_stored_image_are_turned_whatever_size_is_stated(tmp_path):
    boxes = [[BOTH]] * 3 + [[STORED]] * 3
    data = load_detection_data(rotated_set(tmp_path / "set", boxes, annotated_wh=(48, 64)),
                               tmp_path / "work")
    # Rotated clockwise by 90 degrees, the new x is counted from the old bottom:
    # 48 - (4 + 8) = 36, y = 10.
    assert data.ledger.counts == {"exif_turned": 6}
    assert boxes_by_image(data)["0.jpg"] == [[36, 10, 8, 20]]


def test_one_bad_box_does_not_change_the_orientation_of_others(tmp_path):
    sloppy = [10, 4, 20, 48]  # reaches 4 pixels below the stored image, and fits the upright one
    boxes = [[BOTH]] * 9 + [[BOTH, sloppy]]
    data = load_detection_data(rotated_set(tmp_path / "set", boxes), tmp_path / "work")
    # The stated size is the stored image's: its boxes are rotated, the imprecise one clipped.
    assert data.ledger.counts == {"exif_turned": 10, "box_clipped": 1}
    assert all([36, 10, 8, 20] in result for result in boxes_by_image(data).values())
    assert not any("fit the upright image" in note for note in data.ledger.notes)


def test_two_unambiguous_images_decide_the_orientation(tmp_path):
    data = load_detection_data(rotated_set(tmp_path / "set", [[UPRIGHT]] * 2), tmp_path / "work",
                               require_train=False)
    assert data.ledger.count("size_corrected") == 2


def test_contradicting_images_are_oriented_one_by_one(tmp_path):
    boxes = [[UPRIGHT], [STORED]] * 3 + [[BOTH]]
    data = load_detection_data(rotated_set(tmp_path / "set", boxes), tmp_path / "work")
    assert data.ledger.counts == {"size_corrected": 3, "exif_turned": 3, "exif_unclear": 1}
    result = boxes_by_image(data)
    # 48 - (4 + 20) = 24
    assert result["0.jpg"] == [UPRIGHT] and result["1.jpg"] == [[24, 50, 20, 10]]
    assert "6.jpg" not in result


@pytest.mark.parametrize("case, boxes", [
    ("ls_exif_size", 12), ("exif_upright", 16), ("sizes_exchanged", 16)])
def test_all_boxes_match_their_drawn_objects(shared_cases, tmp_path, case, boxes):
    data = load_detection_data(shared_cases / "data" / case, tmp_path / "work")
    assert count_boxes_on_objects(data) == (boxes, boxes)
