"""Images outside of a data set's folder: an error, or a note where the user allowed them."""

import os
import shutil

import pytest
from small_sets import coco, draw, voc_xml, write_json

from detkit.data.classification.load_classification_data import load_classification_data
from detkit.data.detection.annotation_check import check_coco
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.detection.options import DataOptions
from detkit.errors import DataError

BOXES = [(i, label, [4 + 20 * label, 5, 12, 10]) for i in range(6) for label in (0, 1)]


@pytest.fixture
def secret(tmp_path):
    return draw(tmp_path / "elsewhere" / "secret.png", seed=99)


def folder_naming(tmp_path, name):
    """A COCO folder, images beside the annotations, whose last image is called ``name``."""
    names = [f"{i}.png" for i in range(5)]
    for i, other in enumerate(names):
        draw(tmp_path / "set" / "images" / other, seed=i)
    return write_json(tmp_path / "set" / "annotations" / "all.json",
                      coco([*names, str(name)], BOXES)).parent.parent


@pytest.mark.parametrize("name", [
    "{0}", "../../elsewhere/secret.png", "../images/../../elsewhere/secret.png",
    "..\\..\\elsewhere\\secret.png", "%2e%2e/%2e%2e/elsewhere/secret.png", "file://{0}.png",
], ids=["absolute", "up", "in-and-up", "backslashes", "percent", "url"])
def test_a_name_that_leads_out_of_the_folder_is_an_error(tmp_path, secret, name):
    shutil.copy(secret, f"{secret}.png")
    root = folder_naming(tmp_path, name.format(secret))
    with pytest.raises(DataError, match=r"all\.json: 1 of its images are outside of the data "
                       r"folder .*/set, such as '.*' \(.*/secret\.png.*allow_outside=True"):
        load_detection_data(root, tmp_path / "work")
    data = load_detection_data(root, tmp_path / "work", options=DataOptions(allow_outside=True))
    assert sum(split.image_count for split in data.splits.values()) == 6
    assert [note for note in data.ledger.notes if "are outside" in note]


def test_a_link_and_a_step_up_from_where_it_leads_is_outside(tmp_path, secret):
    (tmp_path / "elsewhere" / "inner").mkdir()
    root = folder_naming(tmp_path, "link/../secret.png")
    (root / "images" / "link").symlink_to(tmp_path / "elsewhere" / "inner")
    with pytest.raises(DataError, match="are outside of the data folder"):
        load_detection_data(root, tmp_path / "work")


def test_names_within_the_folder_are_used_without_a_note(tmp_path):
    root = folder_naming(tmp_path, "../images/5.png")
    inside = draw(root / "images" / "5.png", seed=5)
    for name in ("../images/5.png", "../annotations/../images/5.png", inside):
        folder_naming(tmp_path, name)
        data = load_detection_data(root, tmp_path / "work")
        assert data.ledger.issues == [] and not [n for n in data.ledger.notes if "outside" in n]


@pytest.mark.parametrize("start", ["../images", "{}/set/images", "{}/link/images",
                                   "{}/around/set/images"])
@pytest.mark.parametrize("given", ["set", "link", "."])
def test_a_folder_whose_every_name_climbs_or_is_absolute_is_read(
    tmp_path, monkeypatch, start, given
):
    """From each of its folders these names lead to the same six images."""
    root = tmp_path / "set"
    for i in range(6):
        draw(root / "images" / f"{i}.png", seed=i)
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "around").symlink_to(tmp_path)
    names = [f"{start.format(tmp_path)}/{i}.png" for i in range(6)]
    write_json(root / "annotations" / "all.json", coco(names, BOXES))
    monkeypatch.chdir(root)
    data = load_detection_data(given if given == "." else tmp_path / given, tmp_path / "work")
    assert sum(split.image_count for split in data.splits.values()) == 6
    assert data.ledger.issues == [] and not [n for n in data.ledger.notes if "outside" in n]


def test_voc_xml_naming_an_outside_image_is_an_error(tmp_path, secret):
    for i in range(3):
        draw(tmp_path / "set" / "images" / f"{i}.png", seed=i)
        xml = tmp_path / "set" / "Annotations" / f"x{i}.xml"
        xml.parent.mkdir(exist_ok=True)
        xml.write_text(voc_xml(f"{i}.png" if i else str(secret)))
    with pytest.raises(DataError, match="1 of its images are outside of the data folder"):
        load_detection_data(tmp_path / "set", tmp_path / "work")


def test_names_in_the_log_cannot_steer_the_terminal(tmp_path, caplog):
    root = folder_naming(tmp_path, "\x1b[2J\r\u202egnp.exe\n.png")
    with caplog.at_level("INFO", "detkit"):
        load_detection_data(root, tmp_path / "work").ledger.log()
    log_text = "\n".join(record.getMessage() for record in caplog.records)
    assert r"\x1b[2J\r\u202egnp.exe\n.png" in log_text
    assert not set(log_text) & set("\x1b\r\u202e")


@pytest.mark.parametrize("whole_folder", [True, False], ids=["folder", "file"])
def test_links_that_the_user_made_are_used_and_noted(tmp_path, secret, whole_folder):
    root = folder_naming(tmp_path, "5.png")
    if whole_folder:
        draw(root / "images" / "5.png", seed=5)
        (root / "images").rename(tmp_path / "far")
        (root / "images").symlink_to(tmp_path / "far")
    else:
        (root / "images" / "5.png").symlink_to(secret)
    data = load_detection_data(root, tmp_path / "work")
    (note,) = [note for note in data.ledger.notes if "are links to files outside" in note]
    assert f"{6 if whole_folder else 1} of its images are links" in note
    assert data.ledger.issues == []


def test_images_outside_of_a_config_file_are_reported(tmp_path, secret):
    root = folder_naming(tmp_path, secret)
    file = root / "annotations" / "all.json"
    for images in (root / "images", os.path.relpath(root / "images")):
        (issue,) = check_coco(file, images).filter_by_code("image_outside")
        assert issue.image == str(secret) and issue.resolution == "found"


def test_images_outside_of_a_list_folder_are_noted(tmp_path):
    for i in range(12):
        draw(tmp_path / "far" / f"{i}.png", seed=i)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "list.csv").write_text("path,label\n" + "".join(
        f"{tmp_path}/far/{i}.png,{'ab'[i % 2]}\n" for i in range(12)))
    for given in (tmp_path / "set", tmp_path / "set" / "list.csv"):
        data = load_classification_data(given, tmp_path / "work")
        assert [note for note in data.ledger.notes if "12 of its images are outside" in note]


@pytest.mark.parametrize("source", [3, [1], {"a": 1}, None, True])
def test_a_source_file_that_is_no_text_is_not_taken(coco_folder, tmp_path, source):
    coco_folder.ground_truth["train"]["images"][0].update(source_file=source, width=60)
    data = load_detection_data(coco_folder.write(), tmp_path / "work")
    (issue,) = data.ledger.filter_by_code("size_differs")
    assert issue.file.endswith("train.json")


@pytest.mark.parametrize("key, value", [
    ("width", int("9" * 400)), ("height", -int("9" * 400)), ("width", "9" * 400),
    ("file_name", "x" * 100_000), ("file_name", "a\0b"), ("id", int("9" * 400)),
    ("license", int("9" * 400)), ("file_name", "\ud800.png"),
])
def test_image_records_with_odd_values_are_reported(coco_folder, tmp_path, key, value):
    coco_folder.ground_truth["train"]["images"][0][key] = value
    ledger = load_detection_data(coco_folder.write(), tmp_path / "work").ledger
    assert ledger.splits["train"].images_used + ledger.splits["train"].images_left_out == 2
    assert key == "license" or ledger.issues
    assert max(map(len, ledger.summary())) < 10_000
