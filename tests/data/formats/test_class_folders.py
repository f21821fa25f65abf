"""Class folders: common layouts, and their issues."""

import json
import os

import pytest
import torchvision
from class_sets import ImageSet, numbered_jpeg, read_list

from detkit.data.classification.load_classification_data import load_classification_data
from detkit.errors import DataError

SPLITS = ("train", "val", "test")


@pytest.fixture
def image_set(tmp_path):
    return ImageSet(tmp_path / "set")


@pytest.fixture
def read(tmp_path):
    def load(image_set, **kwargs):
        return load_classification_data(image_set.root, tmp_path / "work", **kwargs)
    return load


def make_splits(image_set, names=SPLITS, classes=("cat", "dog")):
    for name in names:
        for label in classes:
            image_set.fill(f"{name}/{label}", 3)
    return image_set


def counts(data):
    return {name: split.counts for name, split in data.splits.items()}


@pytest.mark.parametrize("names", [SPLITS, ("train", "valid", "test"), ("Training", "Val", "TEST"),
                                   ("seg_train", "seg_val", "seg_test"),
                                   ("a/b/train", "a/b/val", "a/b/test"),
                                   ("seg_train/seg_train", "seg_val/seg_val", "seg_test/seg_test")],
                         ids=["plain", "valid", "case", "affix", "wrapped", "twice"])
def test_split_folders_are_found(image_set, read, names):
    data = read(make_splits(image_set, names))
    assert (data.format, data.classes) == ("folder", ("cat", "dog"))
    assert counts(data) == dict.fromkeys(SPLITS, (3, 3))
    assert data.ledger.issues == []
    for split in data.splits.values():
        for line in split.annotation_file.read_text().splitlines()[1:]:
            assert (split.image_dir / line.split(",")[0]).is_file()


def test_images_and_labels_are_those_of_torchvisions_image_folder(image_set, read):
    for label in ("b_1", "B", "a10", "a2"):
        image_set.draw(f"train/{label}/z.jpg", f"train/{label}/deep/er/1.png",
                       f"train/{label}/deep/2.jpg", f"train/{label}/deep-x/2.jpg")
        image_set.fill(f"val/{label}", 1)
    reference = torchvision.datasets.ImageFolder(image_set.root / "train")
    data = read(image_set)
    assert list(data.classes) == reference.classes
    root = data.splits["train"].image_dir
    assert [(str(root / path), label) for path, label in read_list(data, "train")] == [
        (path, reference.classes[label]) for path, label in reference.samples]


def test_one_folder_is_divided_class_by_class(image_set, read):
    image_set.fill("cat", 20).fill("dog", 40).fill("emu", 3)
    data = read(image_set)
    # 10 % of 20 and 40 are 2 and 4; of three, one each.
    assert counts(data) == {"train": (16, 32, 1), "val": (2, 4, 1), "test": (2, 4, 1)}
    paths = [path for name in SPLITS for path, _ in read_list(data, name)]
    assert len(set(paths)) == len(paths) == 63
    (note,) = data.ledger.notes
    assert "class by class by seed 0 into train 49, val 7, test 7 images (10% val, 10% test" in note


def test_the_division_depends_on_seed_and_names_alone(image_set, read, tmp_path):
    image_set.fill("cat", 20).fill("dog", 20)
    first = read(image_set)
    again = load_classification_data(image_set.root, tmp_path / "again")
    other = load_classification_data(image_set.root, tmp_path / "other", seed=1)
    assert read_list(first, "val") == read_list(again, "val") != read_list(other, "val")
    image_set.fill("emu", 20)  # another class moves none of the first two
    more = load_classification_data(image_set.root, tmp_path / "more")
    assert [pair for pair in read_list(more, "val") if pair[1] != "emu"] == read_list(first, "val")


def test_only_a_train_folder_is_divided(image_set, read):
    data = read(make_splits(image_set, ("train",)))
    assert counts(data) == {name: (1, 1) for name in SPLITS}
    assert "there is only a train split" in data.ledger.notes[0]


def test_text_files_beside_a_wrapper_folder_are_ignored(image_set, read):
    make_splits(image_set, ("inner/train", "inner/val"))
    image_set.text("LICENSE").text("SOURCE.txt", "x").text("dataset_info.json", '{"a": 1}')
    assert counts(read(image_set))["train"] == (3, 3)


@pytest.mark.parametrize("present, missing", [("val", "test"), ("test", "val")])
def test_missing_val_or_test_falls_back_to_the_other(image_set, read, present, missing):
    data = read(make_splits(image_set, ("train", present)))
    assert read_list(data, missing) == read_list(data, present)
    assert data.ledger.notes == [f"there is no {missing} split: {present} is used in its place"]
    assert data.ledger.issues == []


def test_classes_with_one_or_two_images_are_reported(image_set, read):
    image_set.fill("cat", 10).fill("dog", 2).fill("emu", 1)
    data = read(image_set)
    assert counts(data) == {"train": (8, 1, 1), "val": (1, 1, 0), "test": (1, 0, 0)}
    assert [issue.message.split(",")[0] for issue in data.ledger.issues] == [
        "the class 'dog' has 2 different image(s)", "the class 'emu' has 1 different image(s)"]


def test_a_train_folder_may_be_a_class(image_set, read):
    data = read(image_set.fill("train", 3).fill("bus", 3).fill("car", 3))
    assert data.classes == ("bus", "car", "train")


def test_a_split_beside_a_folder_of_images_is_an_error(image_set, read):
    with pytest.raises(DataError, match="'train' looks like a split, but 'extra' beside it"):
        read(make_splits(image_set, ("train",)).fill("extra", 2))


def test_images_outside_splits_and_classes_are_reported(image_set, read):
    make_splits(image_set).fill("prediction", 4).draw("val/loose.jpg")
    data = read(image_set)
    assert counts(data) == dict.fromkeys(SPLITS, (3, 3))
    (folder,) = data.ledger.filter_by_code("folder_of_no_split")
    assert folder.file.endswith("prediction") and "its 4 images" in folder.message
    (loose,) = data.ledger.filter_by_code("picture_without_class")
    assert (loose.image, loose.split) == ("loose.jpg", "val")
    assert data.ledger.splits["val"].images_left_out == 1


def test_a_test_folder_without_classes_is_left_out_and_reported(image_set, read):
    data = read(make_splits(image_set, ("train", "val")).fill("test", 7))
    assert read_list(data, "test") == read_list(data, "val")
    (issue,) = data.ledger.issues
    assert (issue.code, issue.resolution) == ("split_without_classes", "left out")
    assert "its 7 images are in no class folder" in issue.message


def test_os_junk_files_are_ignored_and_non_images_reported(image_set, read):
    make_splits(image_set)
    for name in ("Thumbs.db", ".DS_Store", ".hidden.jpg", "desktop.ini"):
        image_set.text(f"train/cat/{name}")
    image_set.text("__MACOSX/train/cat/x.jpg").text(".git/cat/x.jpg").text("README.md")
    image_set.text("train/cat/clip.mp4").text("train/cat/deep/notes.txt")
    data = read(image_set)
    assert counts(data)["train"] == (3, 3)
    assert [(issue.code, issue.image) for issue in data.ledger.issues] == [
        ("not_a_picture", "cat/clip.mp4"), ("not_a_picture", "cat/deep/notes.txt")]


@pytest.mark.parametrize("content", [None, "notes.txt"])
def test_an_empty_class_folder_is_an_error_in_train(image_set, read, content, tmp_path):
    make_splits(image_set)
    (image_set.root / "train" / "emu").mkdir()
    if content:
        image_set.text(f"train/emu/{content}")
    with pytest.raises(DataError, match="train: the class folder 'emu' holds no image: the class "
                                        "cannot be learned. Add images, or remove"):
        read(image_set)
    ledger = json.loads((tmp_path / "work" / "data" / "ledger.json").read_text())
    assert ledger["counts"]["empty_class_folder"] == 1
    assert sorted(os.listdir(tmp_path / "work" / "data")) == ["ledger.json"]


def test_an_empty_class_folder_in_val_is_reported(image_set, read):
    make_splits(image_set, classes=("cat", "dog", "emu"))
    for file in (image_set.root / "val" / "emu").iterdir():
        file.unlink()
    data = read(image_set)
    assert [(issue.code, issue.resolution, issue.split) for issue in data.ledger.issues] == [
        ("empty_class_folder", "kept", "val")]
    assert counts(data)["val"] == (3, 3, 0)


def test_a_class_in_val_that_train_lacks_is_an_error_by_name(image_set, read):
    make_splits(image_set).fill("val/emu", 5).fill("test/emu", 2)
    with pytest.raises(DataError, match="the class 'emu' has no images in train, but in val 5, "
                                        "test 2: it cannot be learned; add some to train"):
        read(image_set)


def test_a_class_that_only_train_has_is_reported(image_set, read):
    data = read(make_splits(image_set).fill("train/emu", 2))
    assert [issue.code for issue in data.ledger.issues] == ["class_only_in_train"]
    assert counts(data) == {"train": (3, 3, 2), "val": (3, 3, 0), "test": (3, 3, 0)}


def test_spellings_of_a_class_in_two_splits_are_one(image_set, read):
    make_splits(image_set, ("train",), ("cat", "polar bear"))
    make_splits(image_set, ("val",), ("Cat", "polar_bear"))
    data = read(image_set)
    assert data.classes == ("cat", "polar bear")
    assert data.ledger.count("near_class_names") == 2
    assert {label for _, label in read_list(data, "val")} == {"cat", "polar bear"}
    assert read_list(data, "val")[0][0].startswith("Cat/")


def test_spellings_in_one_split_are_two_classes_and_reported(image_set, read):
    data = read(make_splits(image_set, classes=("Cat", "cat")))
    assert data.classes == ("Cat", "cat")
    assert data.ledger.issues[0].resolution == "kept apart: one split has both"


def test_classes_of_a_checkpoint_give_the_order(image_set, read):
    data = read(make_splits(image_set, classes=("Cat", "dog")), classes=("emu", "dog", "cat"))
    assert data.classes == ("emu", "dog", "cat") and counts(data)["val"] == (0, 3, 3)
    assert data.ledger.errors == []


def test_a_class_that_a_checkpoint_lacks_is_an_error_with_the_nearest(image_set, read):
    with pytest.raises(DataError, match="the class 'dog' has 3 images but is none of the 2 "
                                        "classes; did you mean 'dogs'?"):
        read(make_splits(image_set), classes=("cat", "dogs"), require_train=False)


def test_evaluation_only_set_needs_no_train_split(image_set, read):
    make_splits(image_set, ("test",))
    data = read(image_set, classes=("dog", "cat"), require_train=False)
    assert list(data.splits) == ["val", "test"]
    with pytest.raises(DataError, match="no train split, only test"):
        read(image_set)


def test_corrupt_images_are_left_out_by_name(image_set, read):
    make_splits(image_set)
    broken = {"empty.jpg": b"", "text.png": b"hello", "cut.jpg": numbered_jpeg(77)[:200]}
    for name, content in broken.items():
        (image_set.root / "train" / "cat" / name).write_bytes(content)
    data = read(image_set)
    assert {issue.image for issue in data.ledger.filter_by_code("unreadable_image")} == {
        f"cat/{name}" for name in broken}
    assert data.ledger.splits["train"].images_left_out == 3
    assert counts(data)["train"] == (3, 3)


def test_mostly_corrupt_images_are_errors(image_set, read):
    make_splits(image_set)
    for at in range(7):
        image_set.text(f"train/cat/broken{at}.jpg", "no")
    with pytest.raises(DataError, match="only 6 images can be used, 7 cannot"):
        read(image_set)


def test_a_class_of_corrupt_images_alone_is_an_error(image_set, read):
    make_splits(image_set).text("train/emu/a.jpg", "no")
    with pytest.raises(DataError, match="the class 'emu' has no usable images in any split"):
        read(image_set)


def test_the_same_bytes_under_two_labels_are_named(image_set, read):
    image_set.fill("cat", 10).fill("dog", 10)
    (image_set.root / "dog" / "twin.jpg").write_bytes((image_set.root / "cat/0.jpg").read_bytes())
    data = read(image_set)
    (issue,) = data.ledger.filter_by_code("picture_with_two_labels")
    assert "cat/0.jpg, labeled 'cat', and " in issue.message and issue.resolution == "kept"
    assert "dog/twin.jpg, labeled 'dog': one label is wrong" in issue.message
    side = {path: name for name in SPLITS for path, _ in read_list(data, name)}
    assert len(side) == 21 and side["cat/0.jpg"] == side["dog/twin.jpg"]


def test_many_copies_of_one_image_are_one_issue(image_set, read):
    image_set.fill("cat", 10).fill("dog", 10)
    for at in range(6):
        for label in ("cat", "dog"):
            (image_set.root / label / f"blank{at}.jpg").write_bytes(numbered_jpeg(0))
    data = read(image_set)
    assert data.ledger.count("picture_with_two_labels") == 1
    assert "and 3 more" in data.ledger.issues[0].message
    assert "11 images have the same bytes as another one" in data.ledger.notes


def test_the_same_bytes_in_two_splits_are_named(image_set, read):
    make_splits(image_set)
    (image_set.root / "test/dog/again.jpg").write_bytes(
        (image_set.root / "train/dog/1.jpg").read_bytes())
    (issue,) = read(image_set).ledger.issues
    assert issue.code == "image_in_two_splits" and issue.resolution == "kept"
    assert "train/dog/1.jpg (train)" in issue.message
    assert "test/dog/again.jpg (test)" in issue.message


@pytest.mark.parametrize("make, message", [
    (lambda p: p.root.mkdir(), "no class folder: got neither images nor folders, expected class "
     "folders .*csv files .*COCO or Pascal VOC"),
    (lambda p: p.draw("a.jpg", "b.jpg"), "no class folder: got images only"),
    (lambda p: p.fill("cat", 3), "there is only the class 'cat'"),
    (lambda p: p.text("cat/a.csv", "x,y").text("dog/a.csv", "x,y"),
     "none of its 2 folders holds an image"),
    (lambda p: p.fill("train/cat", 3).fill("test/cat", 3), "there is only the class 'cat'"),
    (lambda p: p.fill("train", 3).fill("test", 3), "train: it holds 3 images and no class "
     "folder: expected train/CLASS"),
    (lambda p: make_splits(p, ("train", "training")), "could both be the train split"),
    (lambda p: make_splits(p, ("images", "labels")).text("labels/cat/1.txt", "0 .5 .5 .1 .1\n"),
     "this is YOLO text .* not supported"),
], ids=["empty", "images", "one class", "tables", "one class in splits", "unlabeled", "twice",
        "yolo"])
def test_unsupported_folder_error_names_the_content(image_set, read, make, message):
    make(image_set)
    with pytest.raises(DataError, match=message):
        read(image_set)


@pytest.mark.parametrize("path", ["", "nowhere", "x" * 5000], ids=["empty", "absent", "long"])
def test_missing_path_raises(tmp_path, path):
    with pytest.raises(DataError, match="no such file or folder: expected class fold.*'sample'"):
        load_classification_data(path, tmp_path)


def test_data_folder_is_not_written_to_and_runs_inside_are_ignored(image_set):
    make_splits(image_set)
    first = load_classification_data(image_set.root, image_set.root / "run")
    assert counts(load_classification_data(image_set.root, image_set.root / "run")) == counts(first)
    # another run's folder: what it wrote is known by its ledger
    assert counts(load_classification_data(image_set.root,
                                           image_set.root / "run2")) == counts(first)
    assert sorted(os.listdir(first.splits["train"].annotation_file.parent)) == [
        "ledger.json", "test.csv", "train.csv", "val.csv"]


def test_lists_of_another_dataset_are_not_overwritten(image_set, read, tmp_path):
    first = read(make_splits(image_set))
    before = first.splits["train"].annotation_file.read_bytes()
    other = ImageSet(tmp_path / "other").fill("a", 5).fill("b", 5)
    second = read(other)
    assert second.splits["train"].annotation_file.parent.name.startswith("data_")
    assert first.splits["train"].annotation_file.read_bytes() == before


def test_links_and_odd_names_are_followed(image_set, read, tmp_path):
    make_splits(image_set)
    store = ImageSet(tmp_path / "store").fill("more", 2)
    (image_set.root / "train" / "cat" / "link").symlink_to(store.root / "more")
    (image_set.root / "train" / "cat" / "ring").symlink_to(image_set.root / "train" / "cat")
    for name in ('comma, "quote".jpg', "línea\n2.jpg", os.fsdecode(b"latin\xe9.jpg")):
        image_set.draw(f"train/dog/{name}")
    data = read(image_set)
    assert counts(data)["train"] == (5, 6)
    from detkit.data.classification.cls_dataset import ClsDataset

    split = data.splits["train"]
    dataset = ClsDataset(str(split.annotation_file), {"classes": data.classes},
                         data_prefix={"img": str(split.image_dir)}, serialize_data=False)
    assert all(os.path.isfile(dataset.get_data_info(at)["img_path"]) for at in range(11))


def test_the_ledger_file_counts_each_class(image_set, read):
    data = read(make_splits(image_set))
    ledger = json.loads((data.splits["val"].annotation_file.parent / "ledger.json").read_text())
    assert ledger["splits"]["val"] == {
        "images_used": 3 * 2, "images_left_out": 0, "classes": {"cat": 3, "dog": 3}}
    assert ledger["source"] == str(data.root)
    assert data.ledger.summary()[0] == "train: 6 images used; not used: 0; cat 3, dog 3"
