"""The detections of image files in the formats of other tools: COCO, YOLO text, CSV, crops."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from detkit.inference.files_report import FilesReport
from detkit.inference.image_files import OutputNames
from detkit.inference.output_folder import atomic_write_text
from detkit.structures.detections import Detections

COCO_RESULTS, COCO_IMAGES = "coco_results.json", "coco_images.json"
CSV_NAME, TXT_FOLDER, CROPS_FOLDER = "detections.csv", "labels", "crops"


def write_coco(report: FilesReport[Detections], out: Path, classes: Sequence[str]) -> None:
    """Write a COCO results file, and a dataset file without annotations that its ids refer to.

    Image ids count the files from 1, category ids are labels plus 1. ``pycocotools.COCO`` reads
    coco_images.json, and its ``loadRes`` coco_results.json.
    """
    images: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image_id, result in enumerate(report.done, 1):
        height, width = result.prediction.size_hw
        images.append({"id": image_id, "file_name": str(result.file), "width": width,
                       "height": height})
        for (left, top, right, bottom), score, label in _rows(result.prediction):
            results.append({
                "image_id": image_id, "category_id": label + 1,
                "bbox": [round(value, 2) for value in (left, top, right - left, bottom - top)],
                "score": round(score, 4)})
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(classes)]
    dataset = {"images": images, "annotations": [], "categories": categories}
    atomic_write_text(out / COCO_IMAGES, json.dumps(dataset, ensure_ascii=False) + "\n")
    atomic_write_text(out / COCO_RESULTS, json.dumps(results) + "\n")


def write_csv(report: FilesReport[Detections], out: Path, classes: Sequence[str]) -> None:
    """Write one row a detection: file, class, score, left, top, right, bottom in pixels."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("file", "class", "score", "left", "top", "right", "bottom"))
    for result in report.done:
        for box, score, label in _rows(result.prediction):
            writer.writerow((result.file, classes[label], f"{score:.4f}",
                             *(f"{side:.2f}" for side in box)))
    atomic_write_text(out / CSV_NAME, stream.getvalue())


def write_txt(report: FilesReport[Detections], out: Path, classes: Sequence[str]) -> None:
    """Write YOLO's text files, one an image, also of an image without detections.

    A line is: label, center x, center y, width, height as fractions of the image, score. The names
    of the labels are in classes.txt.
    """
    folder = out / TXT_FOLDER
    folder.mkdir(exist_ok=True)
    names = OutputNames()
    for result in report.done:
        height, width = result.prediction.size_hw
        lines = []
        for (left, top, right, bottom), score, label in _rows(result.prediction):
            fractions = ((left + right) / 2 / width, (top + bottom) / 2 / height,
                         (right - left) / width, (bottom - top) / height)
            lines.append(f"{label} {' '.join(f'{value:.6f}' for value in fractions)} {score:.4f}\n")
        name = Path(names.name_for(result.file)).with_suffix(".txt")
        atomic_write_text(folder / name, "".join(lines))
    atomic_write_text(out / "classes.txt", "".join(f"{name}\n" for name in classes))


def write_crops(report: FilesReport[Detections], out: Path, classes: Sequence[str]) -> None:
    """Write the pixels of each box, whole ones, to crops/CLASS/IMAGE_N.jpg, best score first.

    A box without a whole pixel of the image is left out.
    """
    from detkit.data.images.read_image import read_image
    from detkit.inference.predict_files import save_image

    names = OutputNames()
    for result in report.done:
        detections = result.prediction
        stem = Path(names.name_for(result.file)).stem
        if not len(detections):
            continue
        image = read_image(result.file)
        height, width = image.shape[:2]
        for number, index in enumerate((-detections.scores).argsort(kind="stable"), 1):
            left, top, right, bottom = detections.boxes_xyxy[index].tolist()
            rows = slice(max(int(top), 0), min(int(-(-bottom // 1)), height))
            columns = slice(max(int(left), 0), min(int(-(-right // 1)), width))
            crop = image[rows, columns]
            if not crop.size:
                continue
            folder = out / CROPS_FOLDER / folder_name(classes[detections.labels[index]])
            folder.mkdir(parents=True, exist_ok=True)
            save_image(crop, folder / f"{stem}_{number}.jpg")


def _rows(detections: Detections) -> Iterator[tuple[list[float], float, int]]:
    """Box, score and label of each detection as Python's numbers."""
    return zip(detections.boxes_xyxy.tolist(), detections.scores.tolist(),
               detections.labels.tolist())


def folder_name(text: str) -> str:
    """A class name as the name of a folder: other characters than letters and digits are '_'."""
    name = "".join(char if char.isalnum() or char in "-_ " else "_" for char in text).strip()
    return name or "_"
