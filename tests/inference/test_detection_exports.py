"""Detections in the formats of other tools, read by those tools or by hand."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from detkit.inference.detection_exports import (
    folder_name,
    write_coco,
    write_crops,
    write_csv,
    write_txt,
)
from detkit.inference.files_report import FileResult, FilesReport
from detkit.structures.detections import Detections

CLASSES = ("red cell", "a/b")


@pytest.fixture
def report(tmp_path: Path) -> FilesReport[Detections]:
    """Two images of one name in two folders, and one without detections."""
    files = [tmp_path / "x" / "a.png", tmp_path / "y" / "a.png", tmp_path / "y" / "b.png"]
    for value, file in enumerate(files):
        file.parent.mkdir(exist_ok=True)
        pixels = np.full((40, 80, 3), 50 * value, np.uint8)
        pixels[10:30, 20:60] = 200
        Image.fromarray(pixels).save(file)
    found = [
        Detections(np.array([[20, 10, 60, 30], [0, 0, 8, 4]], np.float32),
                   np.array([0.25, 0.75], np.float32), np.array([1, 0]), (40, 80)),
        Detections(np.array([[79.5, 39.5, 80, 40]], np.float32), np.array([0.5], np.float32),
                   np.array([0]), (40, 80)),
        Detections.empty((40, 80)),
    ]
    return FilesReport([FileResult(file, detections, None)
                        for file, detections in zip(files, found)])


def test_pycocotools_reads_the_results(report: FilesReport[Detections], tmp_path: Path) -> None:
    write_coco(report, tmp_path, CLASSES)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO(str(tmp_path / "coco_images.json"))
        results = dataset.loadRes(str(tmp_path / "coco_results.json"))
    assert [image["file_name"] for image in dataset.loadImgs([1, 2, 3])] == [
        str(result.file) for result in report.done]
    assert dataset.loadImgs(1)[0]["width"] == 80
    assert [category["name"] for category in dataset.loadCats([1, 2])] == list(CLASSES)
    first = results.loadAnns(results.getAnnIds(imgIds=[1], catIds=[2]))[0]
    assert first["bbox"] == [20, 10, 40, 20] and first["score"] == 0.25
    assert len(results.getAnnIds(imgIds=[3])) == 0


def test_text_files_have_fractions_of_the_image(
    report: FilesReport[Detections], tmp_path: Path
) -> None:
    write_txt(report, tmp_path, CLASSES)
    folder = tmp_path / "labels"
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "a_2.txt", "b.txt"]
    assert (folder / "a.txt").read_text().splitlines() == [
        "1 0.500000 0.500000 0.500000 0.500000 0.2500",
        "0 0.050000 0.050000 0.100000 0.100000 0.7500"]
    assert (folder / "b.txt").read_text() == ""
    assert (tmp_path / "classes.txt").read_text() == "red cell\na/b\n"


def test_rows_have_pixels(report: FilesReport[Detections], tmp_path: Path) -> None:
    write_csv(report, tmp_path, CLASSES)
    with (tmp_path / "detections.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 and rows[0]["class"] == "a/b" and rows[0]["score"] == "0.2500"
    assert [float(rows[0][side]) for side in ("left", "top", "right", "bottom")] == [20, 10, 60, 30]


def test_crops_are_the_pixels_of_the_boxes(
    report: FilesReport[Detections], tmp_path: Path
) -> None:
    write_crops(report, tmp_path, CLASSES)
    files = sorted(path.relative_to(tmp_path / "crops").as_posix()
                   for path in (tmp_path / "crops").rglob("*.jpg"))
    assert files == ["a_b/a_2.jpg", "red cell/a_1.jpg", "red cell/a_2_1.jpg"]
    with Image.open(tmp_path / "crops" / "a_b" / "a_2.jpg") as crop:
        assert crop.size == (40, 20) and np.abs(np.asarray(crop).astype(int) - 200).max() <= 3
    with Image.open(tmp_path / "crops" / "red cell" / "a_2_1.jpg") as crop:
        assert crop.size == (1, 1)  # half of the last pixel


@pytest.mark.parametrize(("name", "folder"), [
    ("car", "car"), ("a/b", "a_b"), ("..", "__"), ("C:\\x", "C__x"), ("", "_"), ("猫", "猫")])
def test_class_names_are_safe_folders(name: str, folder: str) -> None:
    assert folder_name(name) == folder


def test_no_images_write_empty_files(tmp_path: Path) -> None:
    for write in (write_coco, write_txt, write_csv, write_crops):
        write(FilesReport(), tmp_path, CLASSES)
    assert json.loads((tmp_path / "coco_results.json").read_text()) == []
    assert (tmp_path / "detections.csv").read_text().count("\n") == 1
