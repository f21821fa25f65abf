"""Csv files with path and label: what is read, and errors by line."""

import codecs
import json

import pytest
from class_sets import ImageSet, read_list

from detkit.data.classification.load_classification_data import load_classification_data
from detkit.errors import DataError

ROWS = [f"pics/{label}{at}.jpg,{label}" for label in ("cat", "dog") for at in range(10)]


@pytest.fixture
def image_set(tmp_path):
    return ImageSet(tmp_path / "set").draw(*(row.split(",")[0] for row in ROWS))


@pytest.fixture
def read(tmp_path):
    def load(path, **kwargs):
        return load_classification_data(path, tmp_path / "work", **kwargs)
    return load


def table(image_set, rows=ROWS, header="path,label", name="all.csv"):
    image_set.text(name, "\n".join([header, *rows]) + "\n")
    return image_set.root / name


def counts(data):
    return {name: split.counts for name, split in data.splits.items()}


@pytest.mark.parametrize("form", ["file", "folder"])
def test_one_csv_is_divided_class_by_class(image_set, read, form):
    file = table(image_set)
    data = read(file if form == "file" else image_set.root)
    assert (data.format, data.classes) == ("csv", ("cat", "dog"))
    assert counts(data) == {"train": (8, 8), "val": (1, 1), "test": (1, 1)}
    assert data.ledger.issues == []
    pairs = [",".join(pair) for name in data.splits for pair in read_list(data, name)]
    assert sorted(pairs) == sorted(ROWS)


def test_csv_files_of_splits(image_set, read):
    table(image_set, ROWS[:8] + ROWS[10:18], name="train.csv")
    table(image_set, ROWS[8:10] + ROWS[18:], name="valid.csv")
    image_set.text("sample_submission.csv", "id,probability\n1,0.5\n")
    data = read(image_set.root)
    assert counts(data) == {"train": (8, 8), "val": (2, 2), "test": (2, 2)}
    assert data.ledger.notes == ["not read: sample_submission.csv",
                                 "there is no test split: val is used in its place"]


def test_a_split_column_makes_the_splits(image_set, read):
    words = ["train"] * 6 + ["validation"] * 2 + ["TEST"] * 2
    rows = [f"{row},{word}" for row, word in zip(ROWS, words * 2)]
    data = read(table(image_set, rows, "path,label,split"))
    assert counts(data) == {"train": (6, 6), "val": (2, 2), "test": (2, 2)}


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_csv_bom_delimiter_and_line_ending_variants_are_read(image_set, read, mark, delimiter, end):
    rows = ["Path, Label , note", *(f"{row},x" for row in ROWS), ""]
    file = image_set.root / "all.csv"
    file.write_bytes(mark + end.join(rows).replace(",", delimiter).encode())
    data = read(file)
    assert counts(data)["train"] == (8, 8)
    assert "columns of all.csv that are not read: note" in data.ledger.notes


def test_absolute_paths_are_read(image_set, read, tmp_path):
    file = table(ImageSet(tmp_path / "lists"), [f"{image_set.root}/{row}" for row in ROWS])
    data = read(file)
    assert counts(data)["train"] == (8, 8) and data.ledger.issues == []
    path, _ = read_list(data, "train")[0]
    assert (data.splits["train"].image_dir / path).is_file()


def test_paths_written_on_windows_are_found(image_set, read):
    data = read(table(image_set, [row.replace("/", "\\") for row in ROWS]))
    assert counts(data)["train"] == (8, 8)
    assert "20 file names are found with backslashes replaced by '/'" in data.ledger.notes[0]


def test_labels_are_texts_in_sorted_order_with_single_blanks(image_set, read):
    rows = [row.split(",")[0] + "," + label for row, label in zip(ROWS, ["10", "9", " a  b "] * 9)]
    assert read(table(image_set, rows)).classes == ("10", "9", "a b")


def test_a_missing_file_is_left_out_with_its_line(image_set, read):
    data = read(table(image_set, [*ROWS[:3], "pics/gone.jpg,cat", *ROWS[3:]]))
    (issue,) = data.ledger.issues
    assert (issue.code, issue.image, issue.resolution) == (
        "missing_image",
        "pics/gone.jpg",
        "left out",
    )
    # line 1 is the header, three rows before it
    assert issue.message == f"line 5: there is no such file below {image_set.root}"
    assert data.ledger.splits["train"].images_left_out == 1


def test_all_files_missing_is_an_error_with_the_folder_searched(tmp_path, read):
    file = table(ImageSet(tmp_path / "set"))
    with pytest.raises(DataError, match="all.csv: none of its 20 images exists, such as "
                                        f"'pics/cat0.jpg'; .*searched in {file.parent}"):
        read(file)


def test_duplicate_lines_are_merged(image_set, read):
    data = read(table(image_set, [*ROWS, ROWS[0], "pics/../pics/cat1.jpg,cat"]))
    assert [(issue.code, issue.message) for issue in data.ledger.issues] == [
        ("duplicate_line", "line 22 repeats line 2"),
        ("duplicate_line", "line 23 repeats line 3")]
    assert sum(map(sum, counts(data).values())) == 20


def test_a_path_with_two_labels_is_an_error_by_name(image_set, read, tmp_path):
    with pytest.raises(DataError, match="image 'pics/cat0.jpg': line 22 labels it 'dog' and line 2 "
                                        "'cat'; an image must have one label"):
        read(table(image_set, [*ROWS, "pics/cat0.jpg,dog"]))
    ledger = json.loads((tmp_path / "work/data/ledger.json").read_text())
    assert ledger["counts"] == {"picture_with_two_labels": 1}


def test_a_path_with_two_labels_in_two_files_is_an_error(image_set, read):
    table(image_set, ROWS, name="train.csv")
    table(image_set, ["pics/cat0.jpg,dog"], name="val.csv")
    with pytest.raises(DataError, match="line 2 labels it 'dog' and line 2 of .*train.csv 'cat'"):
        read(image_set.root)


def test_path_in_two_splits_is_reported(image_set, read):
    table(image_set, ROWS, name="train.csv")
    table(image_set, ROWS[:2] + ROWS[10:12], name="val.csv")
    data = read(image_set.root)
    assert data.ledger.counts == {"image_in_two_splits": 4}


def test_the_same_bytes_under_two_labels_are_kept_and_named(image_set, read):
    twin = image_set.root / "pics" / "dog0.jpg"
    twin.write_bytes((image_set.root / "pics" / "cat0.jpg").read_bytes())
    data = read(table(image_set))
    assert data.ledger.counts == {"picture_with_two_labels": 1}
    assert data.ledger.issues[0].resolution == "kept"


@pytest.mark.parametrize("row, message", [
    ("pics/cat0.jpg,", "line 22 has no label"), ("pics/cat0.jpg", "line 22 has no label"),
    (" ,cat", "line 22 has no path"),
], ids=["empty label", "one column", "empty path"])
def test_line_without_path_or_label_raises(image_set, read, row, message):
    with pytest.raises(DataError, match=message):
        read(table(image_set, [*ROWS, row]))


@pytest.mark.parametrize("word", ["", "holdout", "train/val"])
def test_an_unknown_split_is_an_error_by_line(image_set, read, word):
    with pytest.raises(DataError, match=f"line 3 has the split '{word}'; expected train"):
        read(table(image_set, [f"{ROWS[0]},train", f"{ROWS[1]},{word}"], "path,label,split"))


@pytest.mark.parametrize("content, message", [
    (b"", "the file is empty"),
    (b"\n\n", "the file is empty"),
    (b"path,label\n", "it lists no image"),
    (b"filename,class\na.jpg,cat\n", "has the columns filename, class, expected path and label, "
     "and perhaps split; rename 'filename' to 'path' and 'class' to 'label'"),
    (b"path,category\na.jpg,cat\n", "rename 'category' to 'label'$"),
    (b"a.jpg,cat\nb.jpg,dog\n", "has the columns a.jpg, cat, expected path and label"),
    (b"path,label,x1,y1,x2,y2\na.jpg,cat,1,2,3,4\n", "box columns"),
    ("path,label\na.jpg,señal\n".encode("latin-1"), "not text in UTF-8; save it as 'CSV UTF-8'"),
    ("path,label\na.jpg,cat\n".encode("utf-16"), "not text in UTF-8; save it as 'CSV UTF-8'"),
    ("path,label\na.jpg,cat\n".encode("utf-16-le"), "not text in UTF-8; save it as 'CSV UTF-8'"),
    (b"path,label,label\na.jpg,cat,dog\n", "two columns are called 'label'"),
    (b"path,label\n\"a.jpg,cat\nb.jpg,dog\n", "line 3 has no label .is a quotation mark"),
    (b"path,label\n\"a.jpg,cat\n" + b"x" * 200000, "not csv"),
], ids=["empty", "blank", "header", "synonyms", "one synonym", "no header", "boxes", "latin",
        "utf-16", "utf-16 without mark", "two", "quote", "long quote"])
def test_invalid_csv_error_says_what_is_wrong(tmp_path, read, content, message):
    file = tmp_path / "a.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(file)


def test_ambiguous_csv_files_raise(image_set, read):
    table(image_set, name="one.csv"), table(image_set, name="two.csv")
    with pytest.raises(DataError, match="which split one.csv is beside two.csv|two.csv.*one.csv"):
        read(image_set.root)


def test_a_folder_whose_only_csv_has_other_columns_is_an_error(tmp_path, read):
    file = tmp_path / "set" / "labels.csv"
    file.parent.mkdir()
    file.write_text("image,label\na.jpg,cat\n")
    with pytest.raises(DataError, match="labels.csv: its first line .* rename 'image' to 'path'"):
        read(file.parent)


def test_non_csv_file_raises(tmp_path, read):
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="a.zip: a file that is not csv"):
        read(tmp_path / "a.zip")
