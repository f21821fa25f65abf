"""A classifier's results as json, csv and a table, also after an interruption."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detkit.errors import DataError
from detkit.inference.classification_files import top_table, write_predictions
from detkit.inference.files_report import FileResult, FilesReport
from detkit.inference.output_folder import atomic_write_text
from detkit.inference.predict_files import predict_files
from detkit.structures.classifications import Classifications

CLASSES = ("plain", "with,comma", 'with "quotes"')
SCORES = Classifications(np.array([0.25, 0.125, 0.625], np.float32), (20, 30))


def read_csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_empty_report_is_written(tmp_path: Path) -> None:
    report: FilesReport[Classifications] = FilesReport()
    write_predictions(report, tmp_path, CLASSES, top_k=5)
    document = json.loads((tmp_path / "predictions.json").read_text())
    assert document == {"classes": list(CLASSES), "threshold": 0.0, "images": [], "failed": []}
    assert read_csv_rows(tmp_path / "predictions.csv") == []
    assert top_table(report, CLASSES, 5).splitlines()[-1] == "0 images"


def test_json_has_top_k_and_csv_has_all_classes(tmp_path: Path) -> None:
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
    assert read_csv_rows(tmp_path / "predictions.csv") == [{
        "path": "a, b.png", "label": 'with "quotes"', "probability": "0.625000",
        "p_plain": "0.250000", "p_with,comma": "0.125000", 'p_with "quotes"': "0.625000",
    }]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "predictions.csv", "predictions.json"]


@pytest.mark.parametrize("threshold, label", [(0.0, 'with "quotes"'), (0.625, 'with "quotes"'),
                                              (0.63, "unsure")])
def test_table_shows_unsure_below_threshold(threshold: float, label: str) -> None:
    report = FilesReport([FileResult(Path("a.png"), SCORES, None)] * 2)
    head, first, _, last = top_table(report, CLASSES, 9, threshold).splitlines()
    assert head.split() == ["image", "size", "label", "top", "3"]
    row = f'a.png 30x20 {label} with "quotes" 0.625, plain 0.250, with,comma 0.125'
    assert first.split() == row.split()
    assert last.endswith(f"2 {label}")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_finished_results_are_written_on_interrupt(
    tmp_path: Path, error: type[BaseException]
) -> None:
    files = [tmp_path / f"{index}.png" for index in range(4)]
    for index, file in enumerate(files):
        Image.new("RGB", (30, 20), (index, 0, 0)).save(file)

    def predict(images: list[np.ndarray]) -> list[Classifications]:
        image, = images
        if image[0, 0, 0] == 1:
            raise DataError("too red")
        if image[0, 0, 0] == 3:
            raise error
        return [SCORES]

    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(error):
        predict_files(predict, files, out, lambda item: write_predictions(item, out, CLASSES, 1))
    document = json.loads((out / "predictions.json").read_text())
    assert [image["file"] for image in document["images"]] == [str(files[0]), str(files[2])]
    assert document["failed"] == [{"file": str(files[1]), "reason": "too red"}]
    assert len(read_csv_rows(out / "predictions.csv")) == 2


@pytest.mark.parametrize("size, batches", [
    (1, [[0], [2], [4]]),
    # The unreadable file 1 counts in its batch.
    (3, [[0, 2], [4]]),
    (99, [[0, 2, 4]]),
])
def test_unreadable_image_fails_alone_in_its_batch(
    tmp_path: Path, size: int, batches: list[list[int]]
) -> None:
    files = [tmp_path / f"{index}.png" for index in (0, 1, 2, 4)]
    for index, file in zip((0, 1, 2, 4), files):
        Image.new("RGB", (30, 20), (index, 0, 0)).save(file)
    files[1].write_text("no image")
    batches_seen = []

    def predict(images: list[np.ndarray]) -> list[Classifications]:
        numbers = [int(image[0, 0, 0]) for image in images]
        batches_seen.append(numbers)
        if 2 in numbers:
            raise DataError("two")
        return [Classifications(np.eye(5, dtype=np.float32)[index], (20, 30)) for index in numbers]

    reported: list[Path] = []
    report = predict_files(predict, files, tmp_path, lambda item: None, on_file=reported.append,
                           batch_size=size)
    assert [numbers for numbers in batches_seen if numbers in batches] == batches
    assert [(item.file, item.prediction.label) for item in report.done] == [
        (files[0], 0),
        (files[3], 4),
    ]
    assert [file for file, _ in report.failed] == files[1:3]
    assert report.failed[1] == (files[2], "two")
    assert reported == files


def test_batches_are_limited_by_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detkit.inference.predict_files.MAX_BATCH_PIXELS", 1200)
    files = [tmp_path / f"{index}.png" for index in range(5)]
    for file in files:
        Image.new("RGB", (30, 20)).save(file)
    counts = []

    def predict(images: list[np.ndarray]) -> list[Classifications]:
        counts.append(len(images))
        return [SCORES] * len(images)

    predict_files(predict, files, tmp_path, lambda item: None, batch_size=8)
    assert counts == [2, 2, 1]  # 30 x 20 x 2 = 1200


def test_longest_file_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / f"{'a' * 251}.txt"
    atomic_write_text(path, "all")
    assert path.read_text() == "all" and list(tmp_path.iterdir()) == [path]
