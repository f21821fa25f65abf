"""Image names as annotation tools write them, and the files that they mean."""

import gzip
import json

import pytest
from small_sets import coco, draw, write_json

from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.images.image_folder import ImageFolder
from detkit.data.images.image_names import canonical_name
from detkit.errors import DataError

BOX = [4, 5, 12, 10]


def load_set(root, tmp_path, names):
    write_json(root / "annotations.json", coco(
        names, [(i, 0, BOX) for i in range(len(names))], classes=["cat"]))
    return load_detection_data(root, tmp_path / "work")


def used_names(data):
    return sorted(image["file_name"] for split in data.splits.values()
                  for image in json.loads(split.annotation_file.read_text())["images"])


# The name in the annotations, and the file in the folder that it means.
NAMES = {
    "itself": ("a b/1.png", "a b/1.png"),
    "backslash": (r"lot\1.png", "lot/1.png"),
    "both slashes": (r"lot\two/1.png", "lot/two/1.png"),
    "percent": ("my%20photo.png", "my photo.png"),
    "percent in a folder": ("my%20lot/%C3%A9t%C3%A9.png", "my lot/\u00e9t\u00e9.png"),
    "a real percent": ("100%.png", "100%.png"),
    "a real percent code": ("my%20photo.png", "my%20photo.png"),
    "latin-1 code": ("%E9.png", "%E9.png"),
    "query": ("/data/local-files/?d=lot%201/1.png", "lot 1/1.png"),
    "query with more": ("/serve?x=3&path=lot/1.png", "lot/1.png"),
    "signed url": ("lot/1.png?token=a/b", "lot/1.png"),
    "file url": ("file://lot/1.png", "lot/1.png"),
    "a real question mark": ("why?.png", "why?.png"),
    "case": ("Lot/IMG.PNG", "lot/img.png"),
    "composed and not": ("caf\u00e9/e\u0301.png", "cafe\u0301/\u00e9.png"),
    "point": ("./lot//1.png", "lot/1.png"),
}


@pytest.mark.parametrize("name, path", NAMES.values(), ids=NAMES.keys())
def test_file_is_found_under_every_name_variant(tmp_path, name, path):
    draw(tmp_path / path, size_wh=(4, 4))
    path_found = ImageFolder(tmp_path).find(name)
    assert path_found is not None and (tmp_path / path_found).samefile(tmp_path / path)


@pytest.mark.parametrize("name", ["", "..", "lot", "a?1.png", "%00.png", "x" * 300])
def test_names_without_a_file_are_not_found(tmp_path, name):
    draw(tmp_path / "lot" / "1.png", size_wh=(4, 4))
    draw(tmp_path / "1.png", size_wh=(4, 4))
    assert ImageFolder(tmp_path).find(name) is None


def test_the_file_of_the_very_name_comes_before_all_others(tmp_path):
    for name in ("a%20b.png", "a b.png", "A b.png"):
        draw(tmp_path / name, size_wh=(4, 4))
    folder = ImageFolder(tmp_path)
    assert [folder.find(name) for name in ("a%20b.png", "a b.png", "A b.png", "a B.png")] == [
        "a%20b.png", "a b.png", "A b.png", None]  # two answer to the last


def test_only_exact_names_count_in_a_config_file(tmp_path):
    draw(tmp_path / "a b.png", size_wh=(4, 4))
    folder = ImageFolder(tmp_path, exact=True)
    assert folder.find("a b.png") == "a b.png"
    assert folder.find("A b.png") is None and folder.find("a%20b.png") is None


def test_each_name_is_read_in_its_own_way_and_each_way_is_noted(tmp_path):
    root = tmp_path / "set"
    for i in range(6):
        draw(root / "images" / "my lot" / f"{i}.png", seed=i)
    data = load_set(root, tmp_path, [
        "my lot/0.png", "my lot/1.png", r"my lot\2.png", "my%20lot/3.png", r"my%20lot\4.png",
        "/x/?d=my%20lot/5.png"
    ])
    assert used_names(data) == [f"my lot/{i}.png" for i in range(6)]
    assert data.ledger.issues == []
    name_notes = [note for note in data.ledger.notes if "file names are found" in note]
    assert [note.split()[1] for note in name_notes] == ["1", "2", "1"]
    assert r"'my lot\2.png'" in name_notes[0] and "'my%20lot/3.png'" in name_notes[
        1] and "?d=" in name_notes[2]


def test_one_image_under_two_spellings_is_merged(tmp_path):
    root = tmp_path / "set"
    for i in range(3):
        draw(root / "lot" / f"{i}.png", seed=i)
    names = ["lot/0.png", "lot/1.png", "lot/2.png", r"lot\0.png"]
    write_json(root / "annotations.json", coco(
        names, [(0, 0, BOX), (1, 0, BOX), (2, 0, BOX), (3, 1, [20, 5, 12, 10])]))
    data = load_detection_data(root, tmp_path / "work")
    assert used_names(data) == ["lot/0.png", "lot/1.png", "lot/2.png"]
    assert data.ledger.counts["duplicate_image"] == 1
    assert sum(split.box_count for split in data.splits.values()) == 4


def test_the_last_part_stands_for_a_path_only_where_no_two_share_it(tmp_path):
    root = tmp_path / "set"
    for i in range(3):
        draw(root / "images" / f"my {i}.png", seed=i)
    data = load_set(root, tmp_path, [f"C:\\x\\my%20{i}.png" for i in range(3)])
    assert used_names(data) == ["my 0.png", "my 1.png", "my 2.png"]
    assert "decoded" in next(note for note in data.ledger.notes if "3 file names" in note)


def test_absolute_paths_of_another_machine_are_found_by_basename(tmp_path):
    root = tmp_path / "set"
    for i in range(12):
        draw(root / "images" / f"{i}.png", seed=i)
    data = load_set(root, tmp_path,
                    [f"{i}.png" for i in range(7)] + [f"C:\\data\\{i}.png" for i in range(7, 12)])
    assert used_names(data) == sorted(f"{i}.png" for i in range(12)) and data.ledger.issues == []
    assert any("5 file names are found by their base names" in note for note in data.ledger.notes)


def test_a_name_in_a_folder_that_is_there_stands_for_no_other_file(tmp_path):
    root = tmp_path / "set"
    for name in ("lot/0.png", "lot/1.png", "lot/2.png", "lot/3.png", "4.png"):
        draw(root / "images" / name, seed=int(name[-5]))
    data = load_set(root, tmp_path, [f"lot/{i}.png" for i in range(5)])
    assert [issue.image for issue in data.ledger.filter_by_code("missing_image")] == ["lot/4.png"]


@pytest.mark.parametrize("name, plain", [
    ("a/b.png", "a/b.png"), (r"a\b.png", "a/b.png"), ("a%2Fb.png", "a/b.png"),
    ("/x/?d=a/b.png", "a/b.png"), ("http://h/a%20b.png?x", "http://h/a b.png")])
def test_names_of_one_file_have_one_plain_form(name, plain):
    assert canonical_name(name) == plain


# The json file, and the folder of its images: as CVAT, FiftyOne and people by hand lay them.
FOLDERS = {
    "cvat default": ("annotations/instances_default.json", "images/default"),
    "cvat own subset": ("annotations/instances_Cam1.json", "images/Cam1"),
    "capitals": ("Annotations/Train.json", "IMAGES/TRAIN"),
    "other word": ("annotations/train.json", "images/Training_set"),
    "long word in capitals": ("annotations/Training.json", "Data/Train"),
    "folder named as the file": ("labels.json", "Labels"),
    "gz in capitals": ("annotations/instances_Train.JSON.GZ", "images/Train"),
}


@pytest.mark.parametrize("json_path, image_dir", FOLDERS.values(), ids=FOLDERS.keys())
def test_image_folders_are_found_in_any_case(tmp_path, json_path, image_dir):
    root = tmp_path / "set"
    names = [f"{i}.png" for i in range(3)]
    for i, name in enumerate(names):
        draw(root / image_dir / name, seed=i)
        # A folder of another subset holds images of the same names.
        draw(root / "images" / "Validation" / name, seed=i + 10)
    text = json.dumps(coco(names, [(i, 0, BOX) for i in range(3)], classes=["cat"])).encode()
    path = root / json_path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text) if json_path.endswith("GZ") else text)
    data = load_detection_data(root, tmp_path / "work")
    assert {split.image_dir for split in data.splits.values()} == {root / image_dir}
    assert data.ledger.issues == []
    # That folder is a split without annotations, which is named.
    assert "folders of images that are in no annotation file: images/Validation (3)" in (
        data.ledger.notes)


def test_a_gzip_copy_is_ignored_and_reported(coco_folder, tmp_path):
    root = coco_folder.write()
    for path in list((root / "annotations").iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    data = load_detection_data(root, tmp_path / "work")
    assert data.ledger.issues == []
    assert any("not read: " in note and "train.json.gz" in note for note in data.ledger.notes)


@pytest.mark.parametrize("content", [b"", b"no gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\0\x01"],
                         ids=["empty", "other", "cut"])
def test_a_broken_gz_is_named(tmp_path, content):
    (tmp_path / "train.json.gz").write_bytes(content)
    with pytest.raises(DataError, match="train.json.gz"):
        load_detection_data(tmp_path, tmp_path / "work")


def test_two_sizes_stated_of_one_file_are_not_merged(tmp_path):
    names = [f"lot/{i}.png" for i in range(6)]
    for i, name in enumerate(names):
        draw(tmp_path / name, seed=i)
    ground_truth = coco([*names, "lot\\0.png"], [(i, 0, BOX) for i in range(7)], classes=["cat"])
    ground_truth["images"][6].update(width=32, height=24)
    write_json(tmp_path / "annotations.json", ground_truth)
    data = load_detection_data(tmp_path, tmp_path / "work")
    (issue,) = data.ledger.issues
    assert issue.code == "duplicate_image_sizes" and issue.resolution == "left out with its boxes"
    assert "'lot/0.png' of 64x48" in issue.message and "'lot\\0.png' of 32x24" in issue.message
    assert used_names(data) == names and sum(split.box_count for split in data.splits.values()) == 6
    assert sum(count.boxes_left_out for count in data.ledger.splits.values()) == 1
    assert "detkit_name" not in data.splits["train"].annotation_file.read_text()
