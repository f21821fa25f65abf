"""Pascal VOC xml as COCO records, against the same boxes published as COCO json."""

import json

import pytest
from small_sets import draw, voc_xml

from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.formats.voc.voc_file import read_voc
from detkit.data.report.ledger import Ledger
from detkit.errors import DataError


def corner_boxes(images, annotations, categories):
    """(file name, class, x, y, w, h) of every box, sorted: what a COCO file says of boxes."""
    names = {record["id"]: record["file_name"] for record in images}
    classes = {record["id"]: record["name"] for record in categories}
    return sorted((names[box["image_id"]], classes[box["category_id"]], *box["bbox"])
                  for box in annotations)


@pytest.mark.parametrize("published", ["coco_format_v1/instances_default.json",
                                       "coco_format_v2/instances_v2.json"])
def test_the_273_boxes_are_those_of_the_published_coco_file(shared_data, published):
    gts = shared_data / "formats_voc100" / "gts"
    files = sorted((gts / "pascalvoc_format").glob("*.xml"))
    ledger = Ledger()
    raw = read_voc([(path, None) for path in files], "all", gts, ledger)
    ground_truth = json.loads((gts / published).read_text())
    boxes = corner_boxes(raw.images, raw.annotations, raw.categories)
    assert len(boxes) == 273 and ledger.issues == []
    assert boxes == corner_boxes(ground_truth["images"], ground_truth["annotations"],
                                 ground_truth["categories"])
    # SOURCE.txt counts 38 difficult boxes and 20 classes.
    assert sum(box["difficult"] for box in raw.annotations) == 38
    assert len(raw.categories) == 20


def write_set(root, xml_by_stem):
    for i, (stem, text) in enumerate(xml_by_stem.items()):
        draw(root / "JPEGImages" / f"{stem}.png", seed=i)
        path = root / "Annotations" / f"{stem}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def all_boxes(data):
    return [box for split in data.splits.values()
            for box in json.loads(split.annotation_file.read_text())["annotations"]]


def test_difficult_and_truncated_stay_as_fields(tmp_path):
    root = write_set(tmp_path / "set", {
        name: voc_xml(f"{name}.png", objects=[("cat", (1, 2, 30, 40), 1, 0),
                                              ("dog", (5, 6, 30, 40), 0, 1)])
        for name in "abc"})
    boxes = all_boxes(load_detection_data(root, tmp_path / "work"))
    assert {(box["category_id"], box["difficult"], box["truncated"], box["object"])
            for box in boxes} == {(1, 1, 0, 1), (2, 0, 1, 2)}


def test_voc_person_parts_are_not_objects(tmp_path):
    # VOC 2007 person layout: parts with boxes of their own stand inside an object.
    text = voc_xml("a.png").replace(
        "<bndbox>", "<part><name>head</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>11</xmax>"
        "<ymax>11</ymax></bndbox></part><bndbox>", 1)
    path = tmp_path / "a.xml"
    path.write_text(text)
    raw = read_voc([(path, None)], "all", tmp_path, Ledger())
    assert [box["bbox"] for box in raw.annotations] == [[1, 2, 29, 38]]
    assert [record["name"] for record in raw.categories] == ["cat"]


def test_a_broken_xml_leaves_its_image_out_and_is_named(tmp_path):
    root = write_set(tmp_path / "set", {
        "0": "<annotation><obj", **{str(i): voc_xml(f"{i}.png") for i in range(1, 6)}})
    data = load_detection_data(root, tmp_path / "work")
    # Its image is then in no annotation file, which is reported, too.
    assert data.ledger.counts == {"broken_annotation": 1, "images_without_record": 1}
    assert data.ledger.issues[0].file.endswith("0.xml")
    assert sum(count.images_left_out for count in data.ledger.splits.values()) == 1


def test_mostly_broken_xml_is_an_error(tmp_path):
    root = write_set(tmp_path / "set", {
        "a": voc_xml("a.png"), "b": "<annotation>", "c": "<annotation>"})
    with pytest.raises(DataError, match="only 1 images can be used, 2 cannot"):
        load_detection_data(root, tmp_path / "work")


OBJECTS = {
    "zero size": (("cat", (9, 9, 9, 9)), "zero_size_box"),
    "corners exchanged": (("cat", (40, 40, 5, 6)), "corners_exchanged"),
    "outside": (("cat", (70, 2, 90, 40)), "box_outside"),
    "beyond the border": (("cat", (30, 2, 66, 40)), "box_clipped"),
    "no number": (("cat", ("x", 2, 30, 40)), "not_a_box"),
    "nan": (("cat", ("nan", 2, 30, 40)), "not_a_box"),
}


@pytest.mark.parametrize("bad_object, code", OBJECTS.values(), ids=OBJECTS.keys())
def test_a_bad_object_is_reported_with_its_xml_and_ordinal(tmp_path, bad_object, code):
    files = {str(i): voc_xml(f"{i}.png") for i in range(5)}
    files["2"] = voc_xml("2.png", objects=[("cat", (1, 2, 30, 40)), bad_object])
    data = load_detection_data(write_set(tmp_path / "set", files), tmp_path / "work")
    (issue,) = data.ledger.issues
    assert (issue.code, issue.annotation, issue.image) == (code, 2, "2.png")
    assert issue.file.endswith("2.xml")


def test_an_object_without_name_is_an_error(tmp_path):
    files = {str(i): voc_xml(f"{i}.png") for i in range(3)}
    files["1"] = voc_xml("1.png", objects=[("", (1, 2, 30, 40))])
    with pytest.raises(DataError, match="1.xml, annotation 1, .* no name"):
        load_detection_data(write_set(tmp_path / "set", files), tmp_path / "work")


def test_image_named_like_the_xml_takes_precedence_and_is_noted(tmp_path):
    files = {str(i): voc_xml(f"{i}.png") for i in range(4)}
    files["0"] = voc_xml("3.png")
    data = load_detection_data(write_set(tmp_path / "set", files), tmp_path / "work")
    (issue,) = data.ledger.issues
    assert issue.code == "two_images_named" and "'3.png'" in issue.message


def test_a_zero_size_in_the_xml_is_filled_in(tmp_path):
    files = {str(i): voc_xml(f"{i}.png", size_wh=(0, 0)) for i in range(3)}
    data = load_detection_data(write_set(tmp_path / "set", files), tmp_path / "work")
    assert data.ledger.counts == {"size_missing": 3}


def test_two_images_of_one_name_are_an_error(tmp_path):
    root = write_set(tmp_path / "set", {str(i): voc_xml(f"{i}.png") for i in range(3)})
    draw(root / "JPEGImages" / "1.jpg")
    with pytest.raises(DataError, match="two images have the same name: .*1.jpg|1.png"):
        load_detection_data(root, tmp_path / "work")


def test_names_in_other_scripts_and_with_blanks(tmp_path):
    names = ["\u732b 1", "d\u00e9j\u00e0 vu", "a&b"]
    files = {name: voc_xml("x", objects=[("\u72ac", (1, 2, 30, 40))]) for name in names}
    data = load_detection_data(write_set(tmp_path / "set", files), tmp_path / "work")
    assert data.classes == ("\u72ac",) and data.ledger.issues == []
