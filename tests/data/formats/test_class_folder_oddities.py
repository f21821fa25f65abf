"""Class folders with other content: output of runs, links to parents, csv files, thin images."""

import os
import shutil

import pytest
from class_sets import ImageSet
from PIL import Image

from detkit.data.classification.load_classification_data import load_classification_data
from detkit.errors import DataError


@pytest.fixture
def image_set(tmp_path):
    return ImageSet(tmp_path / "set")


@pytest.fixture
def read(tmp_path):
    def load(image_set, **kwargs):
        return load_classification_data(image_set.root, tmp_path / "work", **kwargs)
    return load


def test_run_dirs_inside_the_data_are_not_classes(image_set, read):
    image_set.fill("cat", 3).fill("dog", 3)
    for position in ("first", "second", "work_dirs/a", "work_dirs/b"):
        assert load_classification_data(image_set.root,
                                        image_set.root / position).classes == ("cat", "dog")
        image_set.draw(f"{position}/confusion_matrix.png")
    with pytest.raises(DataError, match="the class folder 'work_dirs' holds no image"):
        read(image_set)
    shutil.rmtree(image_set.root / "work_dirs")
    assert read(image_set).classes == ("cat", "dog")
    # a run within a class leaves the class what it is
    assert load_classification_data(image_set.root,
                                    image_set.root / "dog/run").classes == ("cat", "dog")


def test_symlink_to_parent_adds_no_class(image_set, read):
    image_set.fill("cat", 3).fill("dog", 3)
    (image_set.root / "cat" / "up").symlink_to(image_set.root)
    data = read(image_set)
    assert data.ledger.issues == [] and data.splits["train"].counts == (1, 1)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(image_set, read):
    image_set.fill("cat", 3).fill("dog/deep", 3)
    (image_set.root / "dog" / "deep").chmod(0)
    with pytest.raises(PermissionError):
        read(image_set)


def test_one_image_of_each_class_is_too_few(image_set, read):
    with pytest.raises(DataError, match="no class has two different images"):
        read(image_set.fill("cat", 1).fill("dog", 1))


@pytest.mark.parametrize("size", [(1, 1001), (1001, 1)])
def test_image_over_1000_to_1_is_skipped(image_set, read, size):
    image_set.fill("cat", 3).fill("dog", 3)
    Image.new("RGB", size).save(image_set.root / "cat" / "thread.png")
    Image.new("RGB", (1, 1000)).save(image_set.root / "cat" / "thin.png")
    data = read(image_set)
    assert data.ledger.counts == {"thin_image": 1}
    assert data.ledger.issues[0].image == "cat/thread.png"
    assert sum(split.image_count for split in data.splits.values()) == 7


@pytest.mark.parametrize("folders", [("train", "test"), ("train_images", "test_images"), ("pics",)])
def test_csv_with_other_columns_beside_images_raises(image_set, read, folders):
    for folder in folders:
        image_set.fill(folder, 3)
    image_set.text("sample_submission.csv", "id,breed\n").text("train.csv", "id,breed\n0,pug\n")
    name = "train.csv" if "train" in folders[0] else ".*csv"
    with pytest.raises(DataError, match=f"{name}: its first line has the columns id, breed"):
        read(image_set)


def test_a_line_break_in_a_name_keeps_the_log_to_one_line(image_set, read, caplog):
    image_set.fill("cat", 3).fill("dog", 3).text("cat/two\nlines.jpg", "no image")
    read(image_set)
    assert r"image 'cat/two\nlines.jpg'" in caplog.text
