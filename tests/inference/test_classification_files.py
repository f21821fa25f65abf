"""A classifier's results as json, csv and a table, whatever ended the run."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detkit.errors import DataError
from detkit.inference.classification_files import top_table, write_predictions
from detkit.inference.output_folder import write_text
from detkit.inference.predict_files import FileResult, FilesReport, predict_files
from detkit.structures.classifications import ClassScores

CLASSES = ("plain", "with,comma", 'with "quotes"')
SCORES = ClassScores(np.array([0.25, 0.125, 0.625], np.float32), (20, 30))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_nothing_done_is_written_all_the_same(tmp_path: Path) -> None:
    report: FilesReport[ClassScores] = FilesReport()
    write_predictions(report, tmp_path, CLASSES, top_k=5)
    document = json.loads((tmp_path / "predictions.json").read_text())
    assert document == {"classes": list(CLASSES), "threshold": 0.0, "images": [], "failed": []}
    assert rows_of(tmp_path / "predictions.csv") == []
    assert top_table(report, CLASSES, 5).splitlines()[-1] == "0 images"


def test_json_has_the_top_and_csv_has_all(tmp_path: Path) -> None:
    report = FilesReport([FileResult(Path("a, b.png"), SCORES, "a, b.jpg")],
                         [(Path("c.png"), "no image")])
    write_predictions(report, tmp_path, CLASSES, top_k=2, threshold=0.7)
    document = json.loads((tmp_path / "predictions.json").read_text())
    image, = document["images"]
    assert image == {
        "file": "a, b.png", "width": 30, "height": 20, "picture": "a, b.jpg", "sure": False,
        "top": [{"class": 'with "quotes"', "label": 2, "probability": 0.625},
                {"class": "plain", "label": 0, "probability": 0.25}],
    }
    assert document["failed"] == [{"file": "c.png", "reason": "no image"}]
    assert rows_of(tmp_path / "predictions.csv") == [{
        "path": "a, b.png", "label": 'with "quotes"', "probability": "0.625000",
        "p_plain": "0.250000", "p_with,comma": "0.125000", 'p_with "quotes"': "0.625000",
    }]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "predictions.csv", "predictions.json"]


@pytest.mark.parametrize("threshold, label", [(0.0, 'with "quotes"'), (0.625, 'with "quotes"'),
                                              (0.63, "unsure")])
def test_the_table_says_unsure_below_the_threshold(threshold: float, label: str) -> None:
    report = FilesReport([FileResult(Path("a.png"), SCORES, None)] * 2)
    head, first, _, last = top_table(report, CLASSES, 9, threshold).splitlines()
    assert head.split() == ["image", "size", "label", "top", "3"]
    assert first == f'a.png     30x20  {label}  with "quotes" 0.625, plain 0.250, with,comma 0.125'
    assert last.endswith(f"2 {label}")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_what_was_done_is_written_when_the_run_is_stopped(
    tmp_path: Path, stop: type[BaseException]
) -> None:
    files = [tmp_path / f"{number}.png" for number in range(4)]
    for number, file in enumerate(files):
        Image.new("RGB", (30, 20), (number, 0, 0)).save(file)

    def look(images: list[np.ndarray]) -> list[ClassScores]:
        image, = images
        if image[0, 0, 0] == 1:
            raise DataError("too red")
        if image[0, 0, 0] == 3:
            raise stop
        return [SCORES]

    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(stop):
        predict_files(look, files, out, lambda one: write_predictions(one, out, CLASSES, 1))
    document = json.loads((out / "predictions.json").read_text())
    assert [image["file"] for image in document["images"]] == [str(files[0]), str(files[2])]
    assert document["failed"] == [{"file": str(files[1]), "reason": "too red"}]
    assert len(rows_of(out / "predictions.csv")) == 2


@pytest.mark.parametrize("size, batches", [
    (1, [[0], [2], [4]]),
    # The file that cannot be read, 1, takes a place in its batch.
    (3, [[0, 2], [4]]),
    (99, [[0, 2, 4]]),
])
def test_one_bad_image_spoils_no_other_of_its_batch(
    tmp_path: Path, size: int, batches: list[list[int]]
) -> None:
    files = [tmp_path / f"{number}.png" for number in (0, 1, 2, 4)]
    for number, file in zip((0, 1, 2, 4), files):
        Image.new("RGB", (30, 20), (number, 0, 0)).save(file)
    files[1].write_text("no image")
    seen = []

    def look(images: list[np.ndarray]) -> list[ClassScores]:
        numbers = [int(image[0, 0, 0]) for image in images]
        seen.append(numbers)
        if 2 in numbers:
            raise DataError("two")
        return [ClassScores(np.eye(5, dtype=np.float32)[number], (20, 30)) for number in numbers]

    told: list[Path] = []
    report = predict_files(look, files, tmp_path, lambda one: None, on_file=told.append,
                           batch_size=size)
    assert [numbers for numbers in seen if numbers in batches] == batches
    assert [(one.file, one.found.label) for one in report.done] == [(files[0], 0), (files[3], 4)]
    assert [file for file, _ in report.failed] == files[1:3]
    assert report.failed[1] == (files[2], "two")
    assert told == files


def test_large_images_go_in_smaller_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detkit.inference.predict_files.BATCH_PIXELS", 1200)
    files = [tmp_path / f"{number}.png" for number in range(5)]
    for file in files:
        Image.new("RGB", (30, 20)).save(file)
    counts = []

    def look(images: list[np.ndarray]) -> list[ClassScores]:
        counts.append(len(images))
        return [SCORES] * len(images)

    predict_files(look, files, tmp_path, lambda one: None, batch_size=8)
    assert counts == [2, 2, 1]  # 30 x 20 x 2 = 1200


def test_a_name_as_long_as_names_can_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / f"{'a' * 251}.txt"
    write_text(path, "all")
    assert path.read_text() == "all" and list(tmp_path.iterdir()) == [path]


def test_a_text_that_cannot_be_written_whole_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    # A folder of the partial file's name is what stands in the way.
    (tmp_path / f".{os.getpid()}.partial").mkdir()
    with pytest.raises(OSError):
        write_text(path, "new")
    assert path.read_text() == "old"
