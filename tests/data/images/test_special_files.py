"""Pipes, huge files and unreadable folders: an error or an issue, never a hang."""

import gzip
import json
import os
import signal
import socket

import pytest
from small_sets import coco, draw, voc_xml, write_json

from detkit.data.classification.label_csv import read_image_labels
from detkit.data.classification.load_classification_data import load_classification_data
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.formats import read_file
from detkit.data.images.image_probe import probe_image
from detkit.data.images.read_image import read_image
from detkit.errors import DataError
from detkit.evaluation.detection.coco_eval import evaluate_boxes
from detkit.files import read_bytes
from detkit.machine import memory


@pytest.fixture(autouse=True)
def alarm():
    """Replace a file by a named pipe: opening one without a writer blocks for ever."""
    def stop(*_):
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def class_folder(tmp_path):
    root = tmp_path / "pets"
    for i in range(12):
        draw(root / ("cat", "dog")[i % 2] / f"{i}.png", seed=i)
    return root


def replace_with_pipe(path):
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("name", ["annotations/val.json", "notes.json", "notes.json.gz"])
def test_a_pipe_among_json_files_is_an_error(coco_folder, tmp_path, name):
    root = coco_folder.write()
    replace_with_pipe(root / name)
    if name.startswith("notes"):  # without splits any json may be the annotations
        for file in (root / "annotations").glob("*.json"):
            file.unlink()
    with pytest.raises(DataError, match=r"json(\.gz)?: cannot be read \(it is a named pipe"):
        load_detection_data(root, tmp_path / "work")


def test_a_pipe_among_xml_files_is_an_error(tmp_path):
    for i in range(3):
        draw(tmp_path / "set" / "JPEGImages" / f"{i}.png", seed=i)
        xml = tmp_path / "set" / "Annotations" / f"{i}.xml"
        xml.parent.mkdir(exist_ok=True)
        xml.write_text(voc_xml(f"{i}.png"))
    replace_with_pipe(tmp_path / "set" / "Annotations" / "1.xml")
    with pytest.raises(DataError, match=r"1\.xml: cannot be read \(it is a named pipe"):
        load_detection_data(tmp_path / "set", tmp_path / "work")


@pytest.mark.parametrize("name", ["labels.txt", "data.yaml"])
def test_a_pipe_among_other_files_is_an_error(tmp_path, name):
    draw(tmp_path / "set" / "a.png")
    replace_with_pipe(tmp_path / "set" / name)
    with pytest.raises(DataError, match=f"{name}: cannot be read .it is a named pipe"):
        load_detection_data(tmp_path / "set", tmp_path / "work")


def test_a_pipe_as_a_split_list_is_an_error(tmp_path):
    draw(tmp_path / "set" / "JPEGImages" / "a.png")
    (tmp_path / "set" / "Annotations").mkdir()
    (tmp_path / "set" / "Annotations" / "a.xml").write_text(voc_xml("a.png"))
    replace_with_pipe(tmp_path / "set" / "ImageSets" / "Main" / "train.txt")
    with pytest.raises(DataError, match=r"train\.txt: cannot be read \(it is a named pipe"):
        load_detection_data(tmp_path / "set", tmp_path / "work")


def test_pipe_among_images_is_dropped_and_reported(class_folder, tmp_path):
    replace_with_pipe(class_folder / "cat" / "pipe.jpg")
    data = load_classification_data(class_folder, tmp_path / "work")
    (issue,) = data.ledger.issues
    assert issue.image == "cat/pipe.jpg" and "named pipe" in issue.message


def test_a_pipe_as_a_table_is_an_error(class_folder, tmp_path):
    replace_with_pipe(class_folder / "train.csv")
    for source in (class_folder, class_folder / "train.csv"):
        with pytest.raises(DataError, match=r"train\.csv: cannot be read \(it is a named pipe"):
            load_classification_data(source, tmp_path / "work")
    with pytest.raises(DataError, match="csv of images cannot be read .it is a named pipe"):
        list(read_image_labels(class_folder / "train.csv"))


def test_images_that_are_no_files_are_called_by_what_they_are(tmp_path):
    pipe = replace_with_pipe(tmp_path / "a.png")
    address = tmp_path / "b.png"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(address))
        for path, file_type in ((pipe, "a named pipe"), (address, "a socket"),
                                ("/dev/zero", "a device")):
            with pytest.raises(DataError, match=f"{path}: it is {file_type}"):
                read_image(path)
            assert file_type in probe_image(path).error


def test_evaluate_says_that_a_pipe_is_not_a_file(tmp_path):
    ground_truth = write_json(tmp_path / "ground_truth.json",
                              coco(["a.png"], [(0, 0, [1, 1, 5, 5])]))
    pipe = replace_with_pipe(tmp_path / "results.json")
    for source in ((pipe, []), (ground_truth, pipe)):
        with pytest.raises(DataError, match="results.json: not a file but a named pipe"):
            evaluate_boxes(*source)


def test_a_packed_file_is_unpacked_no_further_than_its_limit(tmp_path):
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(b" " * 10_000_000))
    assert path.stat().st_size < 20_000
    with pytest.raises(OSError, match="more than 1 MB, and at most 1 MB are read: the memory"):
        read_bytes(path, 1_000_000, "the memory")
    assert read_bytes(path, 10_000_000) == b" " * 10_000_000


def test_json_larger_than_the_memory_is_not_read(coco_folder, tmp_path, monkeypatch):
    root = coco_folder.write()
    size = (root / "annotations" / "train.json").stat().st_size
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * (size - 1))
    with pytest.raises(DataError, match="train.json: cannot be read .*the memory is not enough"):
        load_detection_data(root, tmp_path / "work")
    with pytest.raises(DataError, match="the memory is not enough"):
        evaluate_boxes(root / "annotations" / "train.json", [])


def test_the_memory_of_a_container_counts(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   8000 kB\n")
    assert memory.available_memory(tmp_path) == 8000 * 1024
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert memory.available_memory(tmp_path) == 8000 * 1024
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("1000\n")
    assert memory.available_memory(tmp_path) == 1000


def test_an_xml_that_describes_more_than_an_image_is_not_read(tmp_path, monkeypatch):
    draw(tmp_path / "set" / "a.png")
    (tmp_path / "set" / "a.xml").write_text(voc_xml("a.png"))
    monkeypatch.setattr("detkit.data.formats.xml_text.MAX_XML_BYTES", 100)
    with pytest.raises(DataError, match=r"a\.xml: cannot be read \(it holds .* one image"):
        load_detection_data(tmp_path / "set", tmp_path / "work")


def refuse_listing(monkeypatch, folder):
    """As for a user who may not read the folder; root may read everything."""
    scandir = os.scandir

    def refusing(path="."):
        if os.fspath(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)


@pytest.mark.parametrize("folder", ["annotations", "train", "val"])
def test_unreadable_folder_is_an_error(coco_folder, tmp_path, monkeypatch, folder):
    root = coco_folder.write()
    refuse_listing(monkeypatch, root / folder)
    with pytest.raises(DataError, match=f"{folder}: cannot be read .Permission denied"):
        load_detection_data(root, tmp_path / "work")


@pytest.mark.parametrize("deep", [False, True])
def test_unreadable_class_split_is_an_error(tmp_path, monkeypatch, deep):
    for i in range(12):
        draw(tmp_path / "pets" / ("train", "val")[i % 2] / ("a", "b")[i % 4 // 2] / f"{i}.png",
             seed=i)
    folder = tmp_path / "pets" / "val" / ("a" if deep else "")
    refuse_listing(monkeypatch, folder)
    with pytest.raises(DataError, match="cannot be read .Permission denied"):
        load_classification_data(tmp_path / "pets", tmp_path / "work")


def test_foreign_ledger_json_does_not_hide_a_split(coco_folder, tmp_path):
    root = coco_folder.write()
    for split in ("train", "val"):
        (root / "annotations" / f"{split}.json").rename(root / split / f"{split}.json")
        write_json(root / split / "ledger.json", {"entries": [1, 2], "balance": 3})
    data = load_detection_data(root, tmp_path / "work")
    assert {name: split.image_count for name, split in data.splits.items()} == {
        "train": 2, "val": 2, "test": 2}


def test_foreign_ledger_json_does_not_hide_a_class(class_folder, tmp_path):
    draw(class_folder / "emu" / "0.png", seed=90)
    write_json(class_folder / "emu" / "ledger.json", [])
    draw(class_folder / "emu" / "1.png", seed=91)
    data = load_classification_data(class_folder, tmp_path / "work")
    assert data.classes == ("cat", "dog", "emu")


def test_output_of_an_earlier_run_is_skipped_and_noted(coco_folder, class_folder, tmp_path):
    root = coco_folder.write()
    load_detection_data(root, root / "runs")
    data = load_detection_data(root, tmp_path / "work")
    assert [note for note in data.ledger.notes if note.startswith("not read, as")] == [
        "not read, as they are output of an earlier run (they hold its ledger.json): runs/data"]
    load_classification_data(class_folder, class_folder / "runs")
    pets = load_classification_data(class_folder, tmp_path / "more")
    assert [note for note in pets.ledger.notes if note.startswith("not read, as")]
    assert pets.classes == ("cat", "dog")


def test_a_link_to_itself_is_no_folder(coco_folder, tmp_path):
    root = coco_folder.write()
    (root / "annotations" / "loop").symlink_to(root / "annotations" / "loop")
    (root / "train" / "loop").symlink_to(root / "train" / "loop")
    assert load_detection_data(root, tmp_path / "work").ledger.issues == []


def test_a_list_of_many_gigabytes_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(read_file, "MAX_LIST_BYTES", 10)
    (tmp_path / "a.csv").write_text("path,label\na.png,cat\n")
    with pytest.raises(DataError, match="a.csv: it holds 0 MB"):
        load_classification_data(tmp_path / "a.csv", tmp_path / "work")


def test_json_nested_without_end_is_an_error(coco_folder, tmp_path):
    root = coco_folder.write()
    (root / "annotations" / "train.json").write_text('{"images": ' + "[" * 100_000)
    with pytest.raises(DataError, match="train.json: nested too deeply"):
        load_detection_data(root, tmp_path / "work")


def test_a_key_that_stands_twice_is_an_error(coco_folder, tmp_path):
    root = coco_folder.write()
    file = root / "annotations" / "train.json"
    text = json.dumps(coco_folder.ground_truth["train"])
    file.write_text(text[:-1] + ', "annotations": []}')
    with pytest.raises(DataError, match="train.json: an object has the key 'annotations' twice"):
        load_detection_data(root, tmp_path / "work")
    file.write_text(text[:-1] + ', "info": 1, "info": 2}')  # not read, whatever it says
    assert load_detection_data(root, tmp_path / "work").ledger.issues == []
