"""Class folders in odd company: runs below them, links upwards, tables beside them, a thread."""

import os
import shutil

import pytest
from class_sets import Pictures
from PIL import Image

from detkit.data.classification.load_classification_data import open_class_data
from detkit.errors import DataError


@pytest.fixture
def pictures(tmp_path):
    return Pictures(tmp_path / "set")


@pytest.fixture
def read(tmp_path):
    def opened(pictures, **how):
        return open_class_data(pictures.root, tmp_path / "work", **how)
    return opened


def test_runs_written_below_the_data_are_no_class(pictures, read):
    pictures.fill("cat", 3).fill("dog", 3)
    for place in ("first", "second", "work_dirs/a", "work_dirs/b"):
        assert open_class_data(pictures.root, pictures.root / place).classes == ("cat", "dog")
        pictures.draw(f"{place}/confusion_matrix.png")
    with pytest.raises(DataError, match="the class folder 'work_dirs' holds no picture"):
        read(pictures)
    shutil.rmtree(pictures.root / "work_dirs")
    assert read(pictures).classes == ("cat", "dog")
    # a run within a class leaves the class what it is
    assert open_class_data(pictures.root, pictures.root / "dog/run").classes == ("cat", "dog")


def test_a_link_upwards_brings_no_other_class_in(pictures, read):
    pictures.fill("cat", 3).fill("dog", 3)
    (pictures.root / "cat" / "up").symlink_to(pictures.root)
    data = read(pictures)
    assert data.ledger.faults == [] and data.splits["train"].counts == (1, 1)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(pictures, read):
    pictures.fill("cat", 3).fill("dog/deep", 3)
    (pictures.root / "dog" / "deep").chmod(0)
    with pytest.raises(PermissionError):
        read(pictures)


def test_one_picture_of_each_class_is_too_few(pictures, read):
    with pytest.raises(DataError, match="no two different images of any class.*or a val folder"):
        read(pictures.fill("cat", 1).fill("dog", 1))


@pytest.mark.parametrize("size", [(1, 1001), (1001, 1)])
def test_a_picture_like_a_thread_is_left_out(pictures, read, size):
    pictures.fill("cat", 3).fill("dog", 3)
    Image.new("RGB", size).save(pictures.root / "cat" / "thread.png")
    Image.new("RGB", (1, 1000)).save(pictures.root / "cat" / "thin.png")
    data = read(pictures)
    assert data.ledger.counts == {"thin_image": 1}
    assert data.ledger.faults[0].image == "cat/thread.png"
    assert sum(split.image_count for split in data.splits.values()) == 7


@pytest.mark.parametrize("folders", [("train", "test"), ("train_images", "test_images"), ("pics",)])
def test_a_table_with_other_columns_beside_pictures_says_so(pictures, read, folders):
    for folder in folders:
        pictures.fill(folder, 3)
    pictures.text("sample_submission.csv", "id,breed\n").text("train.csv", "id,breed\n0,pug\n")
    name = "train.csv" if "train" in folders[0] else ".*csv"
    with pytest.raises(DataError, match=f"{name}: its first line has the columns id, breed"):
        read(pictures)


def test_a_line_break_in_a_name_keeps_the_log_to_one_line(pictures, read, caplog):
    pictures.fill("cat", 3).fill("dog", 3).text("cat/two\nlines.jpg", "no picture")
    read(pictures)
    assert r"image 'cat/two\nlines.jpg'" in caplog.text
