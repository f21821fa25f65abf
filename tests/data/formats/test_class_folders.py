"""Class folders: the layouts that people have, and what is wrong in them."""

import json
import os

import pytest
import torchvision
from class_sets import Pictures, listed, numbered_jpeg

from detkit.data.classification.load_classification_data import open_class_data
from detkit.errors import DataError

SPLITS = ("train", "val", "test")


@pytest.fixture
def pictures(tmp_path):
    return Pictures(tmp_path / "set")


@pytest.fixture
def read(tmp_path):
    def opened(pictures, **how):
        return open_class_data(pictures.root, tmp_path / "work", **how)
    return opened


def with_splits(pictures, names=SPLITS, classes=("cat", "dog")):
    for name in names:
        for label in classes:
            pictures.fill(f"{name}/{label}", 3)
    return pictures


def counts(data):
    return {name: split.counts for name, split in data.splits.items()}


@pytest.mark.parametrize("names", [SPLITS, ("train", "valid", "test"), ("Training", "Val", "TEST"),
                                   ("seg_train", "seg_val", "seg_test"),
                                   ("a/b/train", "a/b/val", "a/b/test"),
                                   ("seg_train/seg_train", "seg_val/seg_val", "seg_test/seg_test")],
                         ids=["plain", "valid", "case", "affix", "wrapped", "twice"])
def test_split_folders_are_found(pictures, read, names):
    data = read(with_splits(pictures, names))
    assert (data.format, data.classes) == ("folder", ("cat", "dog"))
    assert counts(data) == dict.fromkeys(SPLITS, (3, 3))
    assert data.ledger.faults == []
    for split in data.splits.values():
        for line in split.list_file.read_text().splitlines()[1:]:
            assert (split.image_dir / line.split(",")[0]).is_file()


def test_pictures_and_labels_are_those_of_torchvisions_image_folder(pictures, read):
    for label in ("b_1", "B", "a10", "a2"):
        pictures.draw(f"train/{label}/z.jpg", f"train/{label}/deep/er/1.png",
                      f"train/{label}/deep/2.jpg", f"train/{label}/deep-x/2.jpg")
        pictures.fill(f"val/{label}", 1)
    theirs = torchvision.datasets.ImageFolder(pictures.root / "train")
    data = read(pictures)
    assert list(data.classes) == theirs.classes
    root = data.splits["train"].image_dir
    assert [(str(root / path), label) for path, label in listed(data, "train")] == [
        (path, theirs.classes[label]) for path, label in theirs.samples]


def test_one_folder_is_divided_class_by_class(pictures, read):
    pictures.fill("cat", 20).fill("dog", 40).fill("emu", 3)
    data = read(pictures)
    # 10 % of 20 and 40 are 2 and 4; of three, one each.
    assert counts(data) == {"train": (16, 32, 1), "val": (2, 4, 1), "test": (2, 4, 1)}
    paths = [path for name in SPLITS for path, _ in listed(data, name)]
    assert len(set(paths)) == len(paths) == 63
    (note,) = data.ledger.notes
    assert "by seed 0 into 80% train, 10% val and 10% test, in all train 49, val 7, test 7" in note


def test_the_division_depends_on_seed_and_names_alone(pictures, read, tmp_path):
    pictures.fill("cat", 20).fill("dog", 20)
    first = read(pictures)
    again = open_class_data(pictures.root, tmp_path / "again")
    other = open_class_data(pictures.root, tmp_path / "other", seed=1)
    assert listed(first, "val") == listed(again, "val") != listed(other, "val")
    pictures.fill("emu", 20)  # another class moves none of the first two
    more = open_class_data(pictures.root, tmp_path / "more")
    assert [pair for pair in listed(more, "val") if pair[1] != "emu"] == listed(first, "val")


def test_only_a_train_folder_is_divided(pictures, read):
    data = read(with_splits(pictures, ("train",)))
    assert counts(data) == {name: (1, 1) for name in SPLITS}
    assert "there is only a train split" in data.ledger.notes[0]


def test_texts_beside_the_one_wrapping_folder_do_not_hide_it(pictures, read):
    with_splits(pictures, ("inner/train", "inner/val"))
    pictures.text("LICENSE").text("SOURCE.txt", "x").text("dataset_info.json", '{"a": 1}')
    assert counts(read(pictures))["train"] == (3, 3)


@pytest.mark.parametrize("there, lacking", [("val", "test"), ("test", "val")])
def test_val_and_test_stand_in_for_each_other(pictures, read, there, lacking):
    data = read(with_splits(pictures, ("train", there)))
    assert listed(data, lacking) == listed(data, there)
    assert data.ledger.notes == [f"there is no {lacking} split: {there} stands in for it"]
    assert data.ledger.faults == []


def test_classes_of_one_and_two_pictures_are_told(pictures, read):
    pictures.fill("cat", 10).fill("dog", 2).fill("emu", 1)
    data = read(pictures)
    assert counts(data) == {"train": (8, 1, 1), "val": (1, 1, 0), "test": (1, 0, 0)}
    assert [fault.what.split(",")[0] for fault in data.ledger.faults] == [
        "the class 'dog' has 2 different image(s)", "the class 'emu' has 1 different image(s)"]


def test_a_train_folder_may_be_a_class(pictures, read):
    data = read(pictures.fill("train", 3).fill("bus", 3).fill("car", 3))
    assert data.classes == ("bus", "car", "train")


def test_a_split_beside_a_folder_of_pictures_is_refused(pictures, read):
    with pytest.raises(DataError, match="'train' looks like a split, and 'extra' beside it"):
        read(with_splits(pictures, ("train",)).fill("extra", 2))


def test_pictures_in_no_split_and_in_no_class_are_told(pictures, read):
    with_splits(pictures).fill("prediction", 4).draw("val/loose.jpg")
    data = read(pictures)
    assert counts(data) == dict.fromkeys(SPLITS, (3, 3))
    (folder,) = data.ledger.of_kind("folder_of_no_split")
    assert folder.file.endswith("prediction") and "its 4 images" in folder.what
    (loose,) = data.ledger.of_kind("picture_without_class")
    assert (loose.image, loose.split) == ("loose.jpg", "val")
    assert data.ledger.splits["val"].images_left_out == 1


def test_a_test_folder_without_classes_is_left_out_and_told(pictures, read):
    data = read(with_splits(pictures, ("train", "val")).fill("test", 7))
    assert listed(data, "test") == listed(data, "val")
    (fault,) = data.ledger.faults
    assert (fault.kind, fault.action) == ("split_without_classes", "left out")
    assert "its 7 images are in no class folder" in fault.what


def test_litter_is_passed_over_and_other_files_are_listed(pictures, read):
    with_splits(pictures)
    for name in ("Thumbs.db", ".DS_Store", ".hidden.jpg", "desktop.ini"):
        pictures.text(f"train/cat/{name}")
    pictures.text("__MACOSX/train/cat/x.jpg").text(".git/cat/x.jpg").text("README.md")
    pictures.text("train/cat/clip.mp4").text("train/cat/deep/notes.txt")
    data = read(pictures)
    assert counts(data)["train"] == (3, 3)
    assert [(fault.kind, fault.image) for fault in data.ledger.faults] == [
        ("not_a_picture", "cat/clip.mp4"), ("not_a_picture", "cat/deep/notes.txt")]


@pytest.mark.parametrize("content", [None, "notes.txt"])
def test_an_empty_class_folder_is_refused_in_train(pictures, read, content, tmp_path):
    with_splits(pictures)
    (pictures.root / "train" / "emu").mkdir()
    if content:
        pictures.text(f"train/emu/{content}")
    with pytest.raises(DataError, match="train: the class folder 'emu' holds no picture: a class "
                                        "that cannot be learnt. Put pictures into it, or remove"):
        read(pictures)
    ledger = json.loads((tmp_path / "work" / "data" / "ledger.json").read_text())
    assert ledger["counts"]["empty_class_folder"] == 1
    assert sorted(os.listdir(tmp_path / "work" / "data")) == ["ledger.json"]


def test_an_empty_class_folder_in_val_is_told(pictures, read):
    with_splits(pictures, classes=("cat", "dog", "emu"))
    for file in (pictures.root / "val" / "emu").iterdir():
        file.unlink()
    data = read(pictures)
    assert [(fault.kind, fault.action, fault.split) for fault in data.ledger.faults] == [
        ("empty_class_folder", "kept", "val")]
    assert counts(data)["val"] == (3, 3, 0)


def test_a_class_in_val_that_train_lacks_is_refused_by_name(pictures, read):
    with_splits(pictures).fill("val/emu", 5).fill("test/emu", 2)
    with pytest.raises(DataError, match="the class 'emu' has no images in train, but in val 5, "
                                        "test 2: it cannot be learnt; put some into train"):
        read(pictures)


def test_a_class_that_only_train_has_is_told(pictures, read):
    data = read(with_splits(pictures).fill("train/emu", 2))
    assert [fault.kind for fault in data.ledger.faults] == ["class_only_in_train"]
    assert counts(data) == {"train": (3, 3, 2), "val": (3, 3, 0), "test": (3, 3, 0)}


def test_spellings_of_a_class_in_two_splits_are_one(pictures, read):
    with_splits(pictures, ("train",), ("cat", "polar bear"))
    with_splits(pictures, ("val",), ("Cat", "polar_bear"))
    data = read(pictures)
    assert data.classes == ("cat", "polar bear")
    assert data.ledger.count("near_class_names") == 2
    assert {label for _, label in listed(data, "val")} == {"cat", "polar bear"}
    assert listed(data, "val")[0][0].startswith("Cat/")


def test_spellings_in_one_split_are_two_classes_and_told(pictures, read):
    data = read(with_splits(pictures, classes=("Cat", "cat")))
    assert data.classes == ("Cat", "cat")
    assert data.ledger.faults[0].action == "kept apart: one split has both"


def test_classes_of_a_checkpoint_give_the_order(pictures, read):
    data = read(with_splits(pictures, classes=("Cat", "dog")), classes=("emu", "dog", "cat"))
    assert data.classes == ("emu", "dog", "cat") and counts(data)["val"] == (0, 3, 3)
    assert data.ledger.refused == []


def test_a_class_that_a_checkpoint_lacks_is_refused_with_the_nearest(pictures, read):
    with pytest.raises(DataError, match="the class 'dog' has 3 images but is none of the 2 "
                                        "classes; did you mean 'dogs'?"):
        read(with_splits(pictures), classes=("cat", "dogs"), need_train=False)


def test_a_set_to_measure_on_needs_no_train(pictures, read):
    with_splits(pictures, ("test",))
    data = read(pictures, classes=("dog", "cat"), need_train=False)
    assert list(data.splits) == ["val", "test"]
    with pytest.raises(DataError, match="no train split, only test"):
        read(pictures)


def test_corrupt_pictures_are_left_out_by_name(pictures, read):
    with_splits(pictures)
    broken = {"empty.jpg": b"", "text.png": b"hello", "cut.jpg": numbered_jpeg(77)[:200]}
    for name, content in broken.items():
        (pictures.root / "train" / "cat" / name).write_bytes(content)
    data = read(pictures)
    assert {fault.image for fault in data.ledger.of_kind("unreadable_image")} == {
        f"cat/{name}" for name in broken}
    assert data.ledger.splits["train"].images_left_out == 3
    assert counts(data)["train"] == (3, 3)


def test_mostly_corrupt_pictures_are_refused(pictures, read):
    with_splits(pictures)
    for at in range(7):
        pictures.text(f"train/cat/broken{at}.jpg", "no")
    with pytest.raises(DataError, match="only 6 images can be used and 7 can not"):
        read(pictures)


def test_a_class_of_corrupt_pictures_alone_is_refused(pictures, read):
    with_splits(pictures).text("train/emu/a.jpg", "no")
    with pytest.raises(DataError, match="the class 'emu' has no usable images in any split"):
        read(pictures)


def test_the_same_bytes_under_two_labels_are_named(pictures, read):
    pictures.fill("cat", 10).fill("dog", 10)
    (pictures.root / "dog" / "twin.jpg").write_bytes((pictures.root / "cat/0.jpg").read_bytes())
    data = read(pictures)
    (fault,) = data.ledger.of_kind("picture_with_two_labels")
    assert "cat/0.jpg, labelled 'cat', and " in fault.what and fault.action == "kept"
    assert "dog/twin.jpg, labelled 'dog': one label is wrong" in fault.what
    side = {path: name for name in SPLITS for path, _ in listed(data, name)}
    assert len(side) == 21 and side["cat/0.jpg"] == side["dog/twin.jpg"]


def test_many_copies_of_one_picture_are_one_finding(pictures, read):
    pictures.fill("cat", 10).fill("dog", 10)
    for at in range(6):
        for label in ("cat", "dog"):
            (pictures.root / label / f"blank{at}.jpg").write_bytes(numbered_jpeg(0))
    data = read(pictures)
    assert data.ledger.count("picture_with_two_labels") == 1
    assert "and 3 more" in data.ledger.faults[0].what
    assert "11 images have the same bytes as another there" in data.ledger.notes


def test_the_same_bytes_in_two_splits_are_named(pictures, read):
    with_splits(pictures)
    (pictures.root / "test/dog/again.jpg").write_bytes(
        (pictures.root / "train/dog/1.jpg").read_bytes())
    (fault,) = read(pictures).ledger.faults
    assert fault.kind == "image_in_two_splits" and fault.action == "kept"
    assert "train/dog/1.jpg (train)" in fault.what and "test/dog/again.jpg (test)" in fault.what


@pytest.mark.parametrize("make, message", [
    (lambda p: p.root.mkdir(), "no class folder: got neither pictures nor folders, expected class "
     "folders .*csv files .*COCO or Pascal VOC"),
    (lambda p: p.draw("a.jpg", "b.jpg"), "no class folder: got pictures only"),
    (lambda p: p.fill("cat", 3), "there is only the class 'cat'"),
    (lambda p: p.text("cat/a.csv", "x,y").text("dog/a.csv", "x,y"),
     "none of its 2 folders holds a picture"),
    (lambda p: p.fill("train/cat", 3).fill("test/cat", 3), "there is only the class 'cat'"),
    (lambda p: p.fill("train", 3).fill("test", 3), "train: it holds 3 pictures and no class "
     "folder: expected train/CLASS"),
    (lambda p: with_splits(p, ("train", "training")), "could both be the train split"),
    (lambda p: with_splits(p, ("images", "labels")).text("labels/cat/1.txt", "0 .5 .5 .1 .1\n"),
     "this is YOLO text .* not read yet"),
], ids=["empty", "pictures", "one class", "tables", "one class in splits", "unlabelled", "twice",
        "yolo"])
def test_what_is_no_set_of_classes_says_what_it_is(pictures, read, make, message):
    make(pictures)
    with pytest.raises(DataError, match=message):
        read(pictures)


@pytest.mark.parametrize("path", ["", "nowhere", "x" * 5000], ids=["empty", "absent", "long"])
def test_a_path_that_is_not_there(tmp_path, path):
    with pytest.raises(DataError, match="no such file or folder: expected class fold.*'sample'"):
        open_class_data(path, tmp_path)


def test_nothing_is_written_below_the_data_and_the_run_there_is_passed_over(pictures):
    with_splits(pictures)
    first = open_class_data(pictures.root, pictures.root / "run")
    assert counts(open_class_data(pictures.root, pictures.root / "run")) == counts(first)
    # another run's folder: what it wrote is known by its ledger
    assert counts(open_class_data(pictures.root, pictures.root / "run2")) == counts(first)
    assert sorted(os.listdir(first.splits["train"].list_file.parent)) == [
        "ledger.json", "test.csv", "train.csv", "val.csv"]


def test_another_sets_lists_are_left_alone(pictures, read, tmp_path):
    first = read(with_splits(pictures))
    before = first.splits["train"].list_file.read_bytes()
    other = Pictures(tmp_path / "other").fill("a", 5).fill("b", 5)
    second = read(other)
    assert second.splits["train"].list_file.parent.name.startswith("data_")
    assert first.splits["train"].list_file.read_bytes() == before


def test_links_and_odd_names_are_followed(pictures, read, tmp_path):
    with_splits(pictures)
    store = Pictures(tmp_path / "store").fill("more", 2)
    (pictures.root / "train" / "cat" / "link").symlink_to(store.root / "more")
    (pictures.root / "train" / "cat" / "ring").symlink_to(pictures.root / "train" / "cat")
    for name in ('comma, "quote".jpg', "línea\n2.jpg", os.fsdecode(b"latin\xe9.jpg")):
        pictures.draw(f"train/dog/{name}")
    data = read(pictures)
    assert counts(data)["train"] == (5, 6)
    from detkit.data.classification.cls_dataset import ClassDataset

    split = data.splits["train"]
    dataset = ClassDataset(str(split.list_file), {"classes": data.classes},
                           data_prefix={"img": str(split.image_dir)}, serialize_data=False)
    assert all(os.path.isfile(dataset.get_data_info(at)["img_path"]) for at in range(11))


def test_the_ledger_file_counts_each_class(pictures, read):
    data = read(with_splits(pictures))
    ledger = json.loads((data.splits["val"].list_file.parent / "ledger.json").read_text())
    assert ledger["splits"]["val"] == {
        "images_used": 3 * 2, "images_left_out": 0, "classes": {"cat": 3, "dog": 3}}
    assert ledger["source"] == str(data.root)
    assert data.ledger.summary()[0] == "train: 6 images used; not used: 0; cat 3, dog 3"
