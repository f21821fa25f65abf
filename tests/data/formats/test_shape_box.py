"""Boxes of masks and of rotated rectangles, in COCO json and in Pascal VOC xml."""

import math

import numpy as np
import pytest
from drawn_objects import annotations_of, count_boxes_on_objects, drawn_box
from pycocotools import mask as coco_mask
from small_sets import voc_xml

from detkit.data.detection.annotation_check import check_coco
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.formats.shape_box import enclosing_box, mask_to_xywh
from detkit.data.formats.voc.voc_file import read_voc
from detkit.data.report.ledger import Ledger


def disk():
    """An 8x10 mask of 3 columns from 2 and 4 rows from 3."""
    mask = np.zeros((8, 10), np.uint8, order="F")
    mask[3:7, 2:5] = 1
    return mask


MASKS = {
    "nothing": ([], None), "null": (None, None), "a point": ([[3, 3]], None),
    "a line": ([[1, 1, 5, 1, 9, 1]], None), "text": ([["a", 1, 2, 3, 4, 5]], None),
    "odd": ([[1, 1, 5, 1, 9, 5, 7]], None), "infinite": ([[1, 1, math.inf, 1, 9, 5]], None),
    "a triangle": ([[1, 2, 9, 2, 5, 8]], (1, 2, 8, 6)),
    "two parts": ([[1, 2, 4, 2, 4, 5], [6, 7, 9, 7, 9, 11]], (1, 2, 8, 9)),
    "one flat list": ([1, 2, 9, 2, 5, 8], (1, 2, 8, 6)),
    "points as pairs": ([[[1, 2], [9, 2], [5, 8]]], (1, 2, 8, 6)),
    # Column by column: 2 columns of 8 and 3 rows before the first run of 4.
    "runs": ({"size": [8, 10], "counts": [19, 4, 4, 4, 4, 4, 41]}, (2, 3, 3, 4)),
    "packed runs": ({"size": [8, 10], "counts": coco_mask.encode(disk())["counts"].decode()},
                    (2, 3, 3, 4)),
    "runs of another size": ({"size": [8, 10], "counts": [19, 4]}, None),
    "no runs": ({"size": [8, 10], "counts": [80]}, None),
    "no size": ({"counts": [80]}, None),
}


@pytest.mark.parametrize("mask, box", MASKS.values(), ids=MASKS.keys())
def test_the_box_of_a_mask(mask, box):
    assert mask_to_xywh(mask) == box


@pytest.mark.parametrize("degrees, box", [
    (0, (10, 20, 40, 10)), (180, (10, 20, 40, 10)), (90, (25, 5, 10, 40)),
    # Half of (40 + 10) / sqrt 2 = 17.678 about the center (30, 25).
    (45, (12.322, 7.322, 35.355, 35.355)), (-45, (12.322, 7.322, 35.355, 35.355))])
def test_the_box_around_a_turned_one(degrees, box):
    assert enclosing_box((10, 20, 40, 10), degrees) == pytest.approx(box, abs=0.001)


@pytest.mark.parametrize("bbox", [None, [], [0, 0, 0, 0], "gone"])
def test_a_box_without_extent_is_replaced_by_its_mask(coco_folder, tmp_path, bbox):
    record = coco_folder.ground_truth["train"]["annotations"][0]
    record.update(bbox=bbox, segmentation=[[4, 5, 16, 5, 16, 15]])
    if bbox == "gone":
        del record["bbox"]
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    (issue,) = data.ledger.issues
    assert (issue.code, issue.annotation) == ("box_from_mask", 1)
    assert annotations_of(data)[0][3] == [4, 5, 12, 10]


def test_config_file_without_bbox_is_an_error(coco_folder):
    record = coco_folder.ground_truth["train"]["annotations"][0]
    record.update(bbox=[], segmentation=[[4, 5, 16, 5, 16, 15]])
    root = coco_folder.write()
    ledger = check_coco(root / "annotations" / "train.json", root / "train")
    assert [issue.code for issue in ledger.errors] == ["box_from_mask"]


@pytest.mark.parametrize("case, replaced", [("segm_some", 5), ("segm_only", 10)])
def test_mask_of_the_cases_are_on_their_objects(shared_cases, tmp_path, case, replaced):
    data = load_detection_data(shared_cases / "data" / case, tmp_path / "work")
    assert data.ledger.counts == {"box_from_mask": replaced}
    assert count_boxes_on_objects(data) == (10, 10)


def test_turned_boxes_of_the_case_reach_over_what_is_drawn(shared_cases, tmp_path):
    data = load_detection_data(shared_cases / "data" / "cvat_rotation", tmp_path / "work")
    assert data.ledger.counts == {"rotated_box": 6}
    annotations = annotations_of(data)
    # 20 x 60 about (70, 60), rotated by 60 degrees: 10 + 51.96 wide, 17.32 + 30 high.
    assert all(box == pytest.approx([39.02, 36.34, 61.96, 47.32], abs=0.01)
               for _, _, _, box, _ in annotations)
    assert all(np.abs(np.subtract(box, drawn_box(pixels, name))).max() <= 2
               for _, pixels, name, box, _ in annotations)
    assert all(annotation["area"] == 1200 for *_, annotation in annotations)


@pytest.mark.parametrize("points, box", [
    ([[4, 5, 16, 5, 16, 15, 4, 15]], [5, 4, 10, 12]),  # the rectangle before turning
    ([[10, 2, 18, 10, 10, 18, 2, 10]], [2, 2, 16, 16]),  # the outline after it
], ids=["rectangle", "outline"])
def test_a_turned_box_with_an_outline(coco_folder, tmp_path, points, box):
    coco_folder.ground_truth["train"]["annotations"][0].update(
        segmentation=points, attributes={"rotation": 90.0})
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    assert data.ledger.counts == {"rotated_box": 1}
    assert annotations_of(data)[0][3] == box


def read_single(tmp_path, text):
    path = tmp_path / "a.xml"
    path.write_text(text)
    return read_voc([(path, None)], "all", tmp_path, Ledger()).annotations[0]


def without_corners(shape):
    text = voc_xml("a.png")
    start, end = text.index("<bndbox>"), text.index("</bndbox>") + len("</bndbox>")
    return text[:start] + shape + text[end:]


@pytest.mark.parametrize("shape", [
    "<polygon><x1>4</x1><y1>5</y1><x2>16</x2><y2>5</y2><x3>16</x3><y3>15</y3></polygon>",
    "<polygon><pt><x>4</x><y>5</y></pt><pt><x>16</x><y>5</y></pt><pt><x>16</x><y>15</y></pt>"
    "</polygon>"], ids=["numbered", "points"])
def test_a_voc_object_with_an_outline_alone(tmp_path, shape):
    assert read_single(tmp_path, without_corners(shape))["bbox"] == [4, 5, 12, 10]


def test_voc_objects_carry_their_rotation(tmp_path):
    turned = ("<robndbox><cx>30</cx><cy>25</cy><w>40</w><h>10</h><angle>1.5707963268</angle>"
              "</robndbox>")
    record = read_single(tmp_path, without_corners(turned))
    assert record["bbox"] == [10, 20, 40, 10]
    assert record["attributes"]["rotation"] == pytest.approx(90)
    attribute = ("<attributes><attribute><name>rotation</name><value>30.0</value></attribute>"
                 "</attributes><bndbox>")
    record = read_single(tmp_path, voc_xml("a.png").replace("<bndbox>", attribute))
    assert record["attributes"] == {"rotation": "30.0"} and record["bbox"] == [1, 2, 29, 38]
