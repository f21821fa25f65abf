"""The box format, resolved by how many boxes are within their images."""

import json

import numpy as np
import pytest
from drawn_objects import count_boxes_on_objects
from small_sets import CocoFolder, coco, draw, voc_xml, write_json

from detkit.data.detection.annotation_check import check_coco
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.detection.options import DataOptions, parse_data_options
from detkit.data.formats.box_format import FormatFit, _fix_message, _misfit_message
from detkit.errors import ConfigError, DataError

# x, y, width, height in an image of 64x48; every second reaches the right or lower half.
BOXES = [[4, 5, 12, 10], [40, 30, 20, 15], [30, 4, 30, 12], [2, 28, 20, 18]]


def corners(box):
    x, y, w, h = box
    return [x, y, x + w, y + h]


def centered(box):
    x, y, w, h = box
    return [x + w / 2, y + h / 2, w, h]


def unchanged(box):
    return box


def fraction(convert):
    def scaled(box):
        a, b, c, d = convert(box)
        return [a / 64, b / 48, c / 64, d / 48]
    return scaled


FORMATS = {
    "xyxy": corners, "cxcywh": centered, "normalized_xywh": fraction(unchanged),
    "normalized_xyxy": fraction(corners), "normalized_cxcywh": fraction(centered)}


def write_set(root, rewrite):
    names = [f"{i}.png" for i in range(5)]
    for i, name in enumerate(names):
        draw(root / name, seed=i)
    write_json(root / "coco.json", coco(
        names, [(i, label, rewrite(box)) for i in range(5) for label in (0, 1)
                for box in BOXES[label::2]]))
    return root


def written_boxes(data):
    return sorted(box["bbox"] for split in data.splits.values()
                  for box in json.loads(split.annotation_file.read_text())["annotations"])


def test_boxes_in_cocos_format_are_left_alone(tmp_path):
    data = load_detection_data(write_set(tmp_path / "set", unchanged), tmp_path / "work")
    assert data.ledger.issues == [] and written_boxes(data) == sorted(5 * BOXES)


@pytest.mark.parametrize("name", FORMATS)
def test_another_format_is_an_error_by_name_with_the_shares(tmp_path, name):
    root = write_set(tmp_path / "set", FORMATS[name])
    with pytest.raises(DataError, match=rf"coco.json.*20 of 20 boxes \(100 %\).*"
                       rf"data_options.box_format={name}"):
        load_detection_data(root, tmp_path / "work")
    assert "box_format" in json.loads(
        (tmp_path / "work" / "data" / "ledger.json").read_text())["counts"]


@pytest.mark.parametrize("name", FORMATS)
def test_boxes_are_converted_when_the_user_names_their_format(tmp_path, name):
    data = load_detection_data(write_set(tmp_path / "set", FORMATS[name]), tmp_path / "work",
                               options=DataOptions(box_format=name))
    assert data.ledger.issues == []
    assert written_boxes(data) == [pytest.approx(box) for box in sorted(5 * BOXES)]
    assert any("20 of 20 boxes (100 %)" in note for note in data.ledger.notes)


def test_a_format_that_the_boxes_contradict_is_an_error(tmp_path):
    # As corners 5 of 20 fit: [4, 5, 12, 10] alone has its second corner right of and below it.
    with pytest.raises(DataError, match=r"5 of 20 boxes \(25 %\).* 20 of 20 .*box_format=xywh"):
        load_detection_data(write_set(tmp_path / "set", unchanged), tmp_path / "work",
                            options=DataOptions(box_format="xyxy"))


def test_explicit_box_format_overrides_detection(tmp_path):
    data = load_detection_data(write_set(tmp_path / "set", corners), tmp_path / "work",
                               options=DataOptions(box_format="xywh"))
    assert data.ledger.count("box_clipped") == 15


def write_scattered_boxes(root, rewrite, sides):
    """600 boxes all over ten images of 640x480, each side a share of the image's from ``sides``."""
    rng = np.random.default_rng(0)
    names = [f"{i}.jpg" for i in range(10)]
    boxes = []
    for i, name in enumerate(names):
        draw(root / name, (640, 480), seed=i)
        for _ in range(60):
            w, h = rng.uniform(*sides, 2) * (640, 480)
            x, y = rng.uniform(0, 640 - w), rng.uniform(0, 480 - h)
            boxes.append((i, 0, rewrite([float(number) for number in (x, y, w, h)])))
    write_json(root / "coco.json", coco(names, boxes, classes=("cat",), size_wh=(640, 480)))
    return root


@pytest.mark.parametrize("sides", [(0.03, 0.1), (0.05, 0.2), (0.1, 0.4)])
def test_small_cxcywh_boxes_are_detected_by_boxes_beyond_the_image(tmp_path, sides):
    with pytest.raises(DataError, match="600 of 600 boxes .*box_format=cxcywh"):
        load_detection_data(write_scattered_boxes(tmp_path / "set", centered, sides),
                            tmp_path / "work")


@pytest.mark.parametrize("sides", [(0.03, 0.1), (0.05, 0.2), (0.1, 0.4)])
def test_small_xywh_boxes_are_not_mistaken_for_cxcywh(tmp_path, sides):
    data = load_detection_data(write_scattered_boxes(tmp_path / "set", unchanged, sides),
                               tmp_path / "work")
    assert data.ledger.count("box_format") == 0 == data.ledger.count("box_clipped")


def test_error_names_every_format_that_fits():
    fits = FormatFit(count=20)
    fits.num_within.update(xywh=5, xyxy=20, cxcywh=19)
    assert fits.better_formats("xywh") == ["xyxy", "cxcywh"]
    line = _misfit_message(fits, "xywh", fits.better_formats("xywh"))
    assert "20 of 20 boxes (100 %) as corners" in line and "19 of 20 boxes (95 %) as [c" in line
    line = _fix_message("box_format", "xywh", ["xyxy", "cxcywh"], "xywh", read_in_place=False)
    assert "box_format=xyxy or =cxcywh, or =xywh to keep" in line


def test_single_box_beyond_the_border_is_clipped(tmp_path):
    folder = CocoFolder(tmp_path / "set")
    folder.ground_truth["train"]["annotations"][0]["bbox"] = [40, 20, 60, 40]
    data = load_detection_data(folder.write(), tmp_path / "work")
    assert data.ledger.counts == {"box_clipped": 1}


@pytest.mark.parametrize("change", [{"bbox": [1e308, 1e308, 1e308, 1e308]},
                                    {"bbox": [10 ** 300, 0, 10 ** 300, 4]}])
def test_boxes_near_the_float_maximum_are_outside(coco_folder, tmp_path, change):
    coco_folder.ground_truth["train"]["annotations"][0].update(change)
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    assert data.ledger.counts == {"box_outside": 1}


def test_image_size_beyond_float_range_is_reported(coco_folder, tmp_path):
    coco_folder.ground_truth["val"]["images"][0]["width"] = 10 ** 400
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    assert data.ledger.counts == {"size_differs": 1}


def test_a_config_file_with_corners_is_an_error(tmp_path):
    root = write_set(tmp_path / "set", corners)
    with pytest.raises(DataError, match="5 of 20 boxes.*correct the file, or pass its folder as "
                       "--data with .*box_format=xyxy; to keep the format, add .*box_format=xywh"):
        check_coco(root / "coco.json", root).raise_errors()
    assert check_coco(root / "coco.json", root, box_format="xywh").counts == {"box_clipped": 15}
    assert check_coco(root / "coco.json", root, box_format="xyxy").count("box_format") == 1


def test_splits_may_be_of_different_formats(tmp_path):
    root = tmp_path / "set"
    for split, rewrite in (("train", corners), ("val", unchanged)):
        write_set(root / split, rewrite)
    with pytest.raises(DataError, match=r"box_format\.train=xyxy"):
        load_detection_data(root, tmp_path / "work")
    with pytest.raises(DataError, match="box_format.train=xyxy data_options.box_format.val=xywh"):
        load_detection_data(root, tmp_path / "work", options=DataOptions(box_format="xyxy"))
    data = load_detection_data(root, tmp_path / "work",
                               options=DataOptions(box_format={"train": "xyxy"}))
    for split in ("train", "val"):
        content = json.loads(data.splits[split].annotation_file.read_text())
        assert sorted(box["bbox"] for box in content["annotations"]) == sorted(5 * BOXES)


@pytest.mark.parametrize("annotated_wh", [(1, 1), (640, 640), (640, 480)])
def test_fractions_hold_whatever_size_is_stated(tmp_path, annotated_wh):
    root = write_set(tmp_path / "set", fraction(unchanged))
    ground_truth = json.loads((root / "coco.json").read_text())
    for image in ground_truth["images"]:
        image.update(width=annotated_wh[0], height=annotated_wh[1])
    write_json(root / "coco.json", ground_truth)
    data = load_detection_data(root, tmp_path / "work",
                               options=DataOptions(box_format="normalized_xywh"))
    assert data.ledger.issues == []
    assert any("5 images differs" in note for note in data.ledger.notes)
    assert written_boxes(data) == [pytest.approx(box) for box in sorted(5 * BOXES)]


def test_voc_files_with_sizes_for_corners_are_errors_and_read_on_the_users_word(tmp_path):
    for i in range(5):
        draw(tmp_path / "set" / "JPEGImages" / f"{i}.png", seed=i)
        path = tmp_path / "set" / "Annotations" / f"{i}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(voc_xml(f"{i}.png", objects=[("cat", box) for box in BOXES]))
    with pytest.raises(DataError, match=r"5 of 20 boxes \(25 %\).*box_format=xywh"):
        load_detection_data(tmp_path / "set", tmp_path / "work")
    data = load_detection_data(tmp_path / "set", tmp_path / "work",
                               options=DataOptions(box_format="xywh"))
    assert written_boxes(data) == sorted(5 * BOXES)


def test_xyxy_boxes_in_a_coco_file_are_detected(shared_cases, tmp_path):
    root = shared_cases / "data" / "xyxy_boxes"
    with pytest.raises(DataError, match=r"3 of 12 boxes \(25 %\).*12 of 12 boxes \(100 %\)"):
        load_detection_data(root, tmp_path / "work")
    data = load_detection_data(root, tmp_path / "work", options=DataOptions(box_format="xyxy"))
    assert count_boxes_on_objects(data) == (12, 12)


@pytest.mark.parametrize("value, named", [
    (3, "data_options"), ({"box_fromat": "xyxy"}, "did you mean 'box_format'"),
    ({"box_format": "yxyx"}, "normalized_cxcywh"),
    ({"box_format": {"valid": "xyxy"}}, "train or val or test"),
    ({"box_format": {"val": "yxyx"}}, "normalized_cxcywh"),
    ({"empty_box_is_background": 1}, "True or False"),
    ({"train_difficult": "no"}, "True or False")])
def test_unknown_data_option_is_an_error(value, named):
    with pytest.raises(ConfigError, match=named):
        parse_data_options(value)


def test_no_options_are_the_defaults():
    assert parse_data_options(None) == DataOptions() == parse_data_options({})
