"""Pascal VOC folders as tools write them: subfolders, lists, suffixes, encodings."""

import json
import time
import zlib

import pytest
from small_sets import draw, voc_xml

from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.formats.voc.voc_folder import _image_names
from detkit.data.formats.xml_text import parse_xml
from detkit.errors import DataError


def write(root, xml_dir, image_dir, stems, lists=None, image_ending=".png"):
    """One xml and one image for each stem; lists by their path from ``root``."""
    for stem in stems:
        image_path = draw(root / image_dir / f"{stem}.png",
                          seed=zlib.crc32(f"{image_dir}{stem}".encode()))
        image_path.rename(image_path.with_suffix(image_ending))
        path = root / xml_dir / f"{stem}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(voc_xml(f"{stem}{image_ending}"))
    for name, lines in (lists or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("".join(f"{line}\n" for line in lines))
    return root


def counts(data):
    return {name: split.image_count for name, split in data.splits.items()}


def used(data, split):
    return [image["file_name"] for image in
            json.loads(data.splits[split].annotation_file.read_text())["images"]]


SUBFOLDERS = [f"{camera}/{i}" for camera in ("cam1", "cam2") for i in range(5)]
FLAT = [f"{camera}_{i}" for camera in ("cam1", "cam2") for i in range(5)]


def test_subfolders_of_annotations_are_one_set(tmp_path):
    root = write(tmp_path / "set", "Annotations", "JPEGImages", SUBFOLDERS)
    data = load_detection_data(root, tmp_path / "work")
    assert counts(data) == {"train": 8, "val": 1, "test": 1} and data.ledger.issues == []
    assert sorted(name for split in data.splits for name in used(data, split)) == [
        f"{stem}.png" for stem in SUBFOLDERS]


def test_images_of_subfolders_may_lie_in_one_folder_where_names_differ(tmp_path):
    root = write(tmp_path / "set", "Annotations", "JPEGImages", FLAT)
    for camera in ("cam1", "cam2"):
        (root / "Annotations" / camera).mkdir()
        for path in (root / "Annotations").glob(f"{camera}_*.xml"):
            path.rename(root / "Annotations" / camera / path.name)
    assert counts(load_detection_data(root, tmp_path / "work")) == {"train": 8, "val": 1, "test": 1}


def test_an_xml_of_a_subfolder_takes_no_image_of_another_folder(tmp_path):
    root = write(tmp_path / "set", "Annotations", "JPEGImages",
                 [*"012345", *(f"sub/{i}" for i in range(6))])
    for i in (3, 4, 5):
        (root / "JPEGImages" / "sub" / f"{i}.png").unlink()
    data = load_detection_data(root, tmp_path / "work")
    assert sum(counts(data).values()) == 9
    assert sorted(issue.image for issue in data.ledger.filter_by_code("missing_image")) == [
        f"sub/{i}.png" for i in (3, 4, 5)]


def test_no_folder_is_searched_again_for_each_image(tmp_path):
    # Comparing all 20,000 names in each of 1,000 folders takes seconds, looking each up 0.04 s.
    stems = [f"{i % 1000}/{i}" for i in range(20000)]
    (tmp_path / "JPEGImages").mkdir()
    began = time.process_time()
    assert _image_names(stems, [[tmp_path / "JPEGImages"]] * 3) == [None] * 20000
    assert time.process_time() - began < 1


def test_one_subfolder_has_its_images_in_one_of_the_same_name(tmp_path):
    root = write(tmp_path / "set", "Annotations", "JPEGImages", SUBFOLDERS[:5],
                 {"ImageSets/Main/train.txt": SUBFOLDERS[:3], "ImageSets/Main/val.txt": "34"})
    data = load_detection_data(root, tmp_path / "work")
    assert counts(data) == {"train": 3, "val": 2, "test": 2} and data.ledger.issues == []


def test_lists_may_name_subfolders_with_either_slash(tmp_path):
    root = write(tmp_path / "set", "Annotations", "JPEGImages", SUBFOLDERS, {
        "ImageSets/Main/Train.txt": SUBFOLDERS[:6],
        "ImageSets/Main/TEST.TXT": [stem.replace("/", "\\") for stem in SUBFOLDERS[6:]]})
    data = load_detection_data(root, tmp_path / "work")
    assert counts(data) == {"train": 6, "val": 4, "test": 4} and data.ledger.issues == []


def test_lists_say_the_splits_where_only_some_subfolders_are_named_for_one(tmp_path):
    stems = ["cam1/0", "cam1/1", "test_drive/0", "test_drive/1"]
    lists = {"ImageSets/Main/train.txt": ["cam1/0", "test_drive/0"],
             "ImageSets/Main/val.txt": ["cam1/1", "test_drive/1"]}
    root = write(tmp_path / "set", "Annotations", "JPEGImages", stems, lists)
    assert counts(load_detection_data(root, tmp_path / "work")) == {"train": 2, "val": 2, "test": 2}
    bare = write(tmp_path / "bare", "Annotations", "JPEGImages", stems)
    with pytest.raises(DataError, match="two folders of Pascal VOC files: .*cam1 and .*test_drive"):
        load_detection_data(bare, tmp_path / "work")


@pytest.mark.parametrize("xml_dir, image_dir", [
    ("Annotations", "JPEGImages"), ("annotations", "Images"), ("labels", "images"),
    ("{}", "{}"), ("{}/Annotations", "{}/JPEGImages")])
def test_subfolders_called_for_splits_make_them(tmp_path, xml_dir, image_dir):
    words = {"Train": "train", "Validation": "val", "testing": "test"}
    for word in words:
        inner = "" if "{}" in xml_dir else f"{word}/"
        write(tmp_path / "set", xml_dir.format(word), image_dir.format(word),
              [f"{inner}{i}" for i in range(3)])
    data = load_detection_data(tmp_path / "set", tmp_path / "work")
    assert counts(data) == {"train": 3, "val": 3, "test": 3} and data.ledger.issues == []
    assert all(words[part] == name for name, split in data.splits.items()
               for part in split.image_dir.parts if part in words)


@pytest.mark.parametrize("names", [
    ("train", "val", "test"), ("Train", "Validation", "Test"), ("TRAINING", "valid", "testing")])
@pytest.mark.parametrize("folder", ["ImageSets/Main", "imagesets/main", "ImageSets"])
def test_lists_of_every_tool_make_the_splits(tmp_path, folder, names):
    lines = (FLAT[:5], FLAT[5:8], FLAT[8:])
    root = write(
        tmp_path / "set", "Annotations", "JPEGImages", FLAT,
        {f"{folder}/{name}.txt": lines_of_list
         for name, lines_of_list in zip(names, lines)})
    assert counts(load_detection_data(root, tmp_path / "work")) == {"train": 5, "val": 3, "test": 2}


def test_two_lists_of_one_split_are_an_error_unless_they_are_the_same(tmp_path):
    lists = {"ImageSets/Main/train.txt": FLAT[:5], "ImageSets/Main/val.txt": FLAT[5:7],
             "ImageSets/Main/Validation.txt": FLAT[5:7]}
    root = write(tmp_path / "set", "Annotations", "JPEGImages", FLAT[:7], lists)
    assert counts(load_detection_data(root, tmp_path / "work")) == {"train": 5, "val": 2, "test": 2}
    (root / "ImageSets/Main/valid.txt").write_text(f"{FLAT[6]}\n")
    with pytest.raises(DataError, match=r"two lists could be the val split: .*txt and .*txt"):
        load_detection_data(root, tmp_path / "work")


def test_lists_that_are_ignored_or_empty_are_named(tmp_path):
    root = write(tmp_path / "set", "Annotations", "JPEGImages", FLAT, {
        "ImageSets/Main/train.txt": FLAT[:5], "ImageSets/Main/val.txt": FLAT[5:8],
        "ImageSets/Main/test.txt": [], "ImageSets/Main/Night.txt": FLAT[8:],
        "ImageSets/Main/cat_train.txt": [f"{FLAT[0]} -1"]})
    data = load_detection_data(root, tmp_path / "work")
    notes = "\n".join(data.ledger.notes)
    assert "not read: Night.txt" in notes and "cat_train" not in notes
    assert "test.txt is empty" in notes
    assert data.ledger.counts["not_in_any_list"] == 2


def test_other_annotation_files_beside_the_xml_are_named(tmp_path):
    root = write(tmp_path / "set", "Annotations", "JPEGImages", FLAT[:3])
    (root / "classes.json").write_text('["cat"]')
    (root / "Train.txt").write_text("cam1_0.png\n")
    (root / "old").mkdir()
    (root / "old" / "cvat.xml").write_text("<annotations><image/></annotations>")
    assert "not read: classes.json, old/cvat.xml, Train.txt" in load_detection_data(
        root, tmp_path / "work").ledger.notes


def test_endings_count_in_any_case(tmp_path):
    root = write(tmp_path / "set", "Annotations", "JPEGImages", FLAT[:6],
                 {"ImageSets/Main/train.txt": FLAT[:4], "ImageSets/Main/val.txt": FLAT[4:6]},
                 image_ending=".PNG")
    for stem in FLAT[::2][:3]:
        (root / "Annotations" / f"{stem}.xml").rename(root / "Annotations" / f"{stem}.XML")
    data = load_detection_data(root, tmp_path / "work")
    assert counts(data) == {"train": 4, "val": 2, "test": 2} and data.ledger.issues == []


def test_two_xml_files_of_one_name_are_an_error(tmp_path):
    root = write(tmp_path / "set", "Annotations", "JPEGImages", FLAT[:3])
    (root / "Annotations" / f"{FLAT[0]}.XML").write_text(voc_xml())
    with pytest.raises(DataError, match="two xml files have the same name"):
        load_detection_data(root, tmp_path / "work")


TEXT = "<?xml version='1.0' encoding='{}'?><annotation><name>{}</name></annotation>"


@pytest.mark.parametrize("declared, codec, word", [
    ("utf-8", "utf-8", "\u00e9"), ("utf8", "utf-8", "\u00e9"), ("UTF8", "utf-8-sig", "\u00e9"),
    ("cp1252", "cp1252", "\u00e9"), ("latin1", "latin-1", "\u00e9"), ("gbk", "gbk", "\u732b"),
    ("gb2312", "gb2312", "\u732b"), ("Shift_JIS", "shift_jis", "\u732b"),
    ("euc-kr", "euc-kr", "\uace0"), ("big5", "big5", "\u8c93"), ("utf-16", "utf-16", "\u732b"),
    ("utf-16", "utf-8", "\u732b"), ("Unicode-16", "utf-16", "\u732b")])
def test_an_encoding_under_any_of_its_names_is_read(tmp_path, declared, codec, word):
    path = tmp_path / "a.xml"
    path.write_bytes(TEXT.format(declared, word).encode(codec))
    if declared == "Unicode-16":
        with pytest.raises(DataError, match="a.xml: not xml"):
            parse_xml(path)
    else:
        assert parse_xml(path).findtext("name") == word


@pytest.mark.parametrize("content", [
    b"", b"<annotation>", b"<?xml version='1.0' encoding='nothing'?><annotation/>",
    b"<?xml version='1.0' encoding='utf8'?><annotation>\xe9</annotation>",
    b"<?xml version='1.0' encoding='utf8'?><annotation>",
    b"<?xml version='1.0' encoding='hex'?><annotation/>"])
def test_what_cannot_be_decoded_is_no_xml(tmp_path, content):
    (tmp_path / "a.xml").write_bytes(content)
    with pytest.raises(DataError, match="a.xml: not xml"):
        parse_xml(tmp_path / "a.xml")
