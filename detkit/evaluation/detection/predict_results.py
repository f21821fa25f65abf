"""The results file of ``detkit predict`` as COCO results, matched by file and class names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import PurePath, PureWindowsPath
from typing import Any

from detkit.errors import DataError
from detkit.evaluation.detection.ground_truth import CocoGroundTruth
from detkit.evaluation.detection.json_values import Id
from detkit.text import list_names

_RELIABLE_THRESHOLD = 0.05  # below it few detections are lost, which hardly changes AP


def is_predict_document(content: Any) -> bool:
    """Whether the content of a JSON file is that of predict's detections.json."""
    if not isinstance(content, Mapping):
        return False
    images = content.get("images")
    return (isinstance(images, list) and isinstance(content.get("classes"), list)
            and all(isinstance(image, Mapping) and isinstance(image.get("file"), str)
                    and isinstance(image.get("detections"), list) for image in images))


def to_coco_results(
    document: Mapping[str, Any], ground_truth: CocoGroundTruth, name: str,
    on_note: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Convert predict's document, see `is_predict_document`.

    Args:
        document: its content.
        ground_truth: whose ids the results get. A file is the image whose name ends in most of the
            same folders and file name.
        name: of the document's file, for messages.
        on_note: called with each sentence on what could not be matched, and on the threshold.

    Raises:
        DataError: no file is an image of the ground truth, two are the same one, or a detection
            has not the form that predict writes.
    """
    by_name: dict[str, list[tuple[tuple[str, ...], Id]]] = defaultdict(list)
    for known_id, file in ground_truth.files.items():
        parts = _parts(file)
        by_name[parts[-1] if parts else ""].append((parts, known_id))
    ids = {ground_truth.class_names[index]: category
           for category, index in ground_truth.categories.items()}
    results: list[dict[str, Any]] = []
    used: dict[Id, str] = {}
    unknown_files, unknown_classes = list[str](), set[str]()
    for image in document["images"]:
        image_id = _find_image(image["file"], by_name)
        if image_id is None:
            unknown_files.append(image["file"])
            continue
        if image_id in used:
            raise DataError(f"{name}: two files are the image {image_id!r} of {ground_truth.name}",
                            got=f"{used[image_id]} and {image['file']}", expected="each once")
        used[image_id] = image["file"]
        for detection in image["detections"]:
            if detection.get("class") not in ids:
                unknown_classes.add(str(detection.get("class")))
                continue
            results.append({"image_id": image_id, "category_id": ids[detection["class"]],
                            "bbox": _to_xywh(detection, name), "score": detection.get("score")})
    if not used:
        raise DataError(f"{name}: no file is an image of {ground_truth.name}",
                        got=list_names(unknown_files, 3) or "no images",
                        expected=f"file names such as {list_names(ground_truth.files.values(), 3)}")
    for note in _notes(document, ground_truth, used, unknown_files, unknown_classes):
        on_note(note)
    return results


def _notes(document: Mapping[str, Any], ground_truth: CocoGroundTruth, used: Mapping[Id, str],
           unknown_files: list[str], unknown_classes: set[str]) -> list[str]:
    notes = []
    threshold = document.get("score_threshold")
    if isinstance(threshold, (int, float)) and threshold > _RELIABLE_THRESHOLD:
        notes.append(f"detections below the score {threshold:g} are missing, which lowers AP: use "
                     "predict --threshold 0.001")
    if unknown_files:
        notes.append(f"{len(unknown_files)} files are no images of the ground truth and are left "
                     f"out: {list_names(unknown_files, 3)}")
    missing = len(ground_truth.images) - len(used)
    if missing:
        notes.append(f"{missing} of {len(ground_truth.images)} images of the ground truth are not "
                     "in it: their objects count as missed")
    if unknown_classes:
        notes.append(f"classes that the ground truth does not have are left out: "
                     f"{list_names(sorted(unknown_classes))}")
    return notes


def _parts(file: str) -> tuple[str, ...]:
    """The parts of a path of any system."""
    return (PureWindowsPath(file) if "\\" in file else PurePath(file)).parts


def _find_image(
    file: str, by_name: Mapping[str, list[tuple[tuple[str, ...], Id]]]
) -> Id | None:
    """The image whose path has the longest common end with ``file``; None if none or several."""
    parts = _parts(file)
    found: list[tuple[int, Id]] = []
    for other, image_id in by_name.get(parts[-1] if parts else "", ()):
        common = 0
        for one, two in zip(reversed(parts), reversed(other)):
            if one != two:
                break
            common += 1
        found.append((common, image_id))
    most = max((common for common, _ in found), default=0)
    best = [image_id for common, image_id in found if common == most]
    return best[0] if len(best) == 1 else None


def _to_xywh(detection: Mapping[str, Any], name: str) -> list[float]:
    box = detection.get("box_xyxy")
    if not (isinstance(box, list) and len(box) == 4
            and all(isinstance(side, (int, float)) for side in box)):
        raise DataError(f"{name}: a detection has no box", got=str(box)[:80],
                        expected="box_xyxy: [left, top, right, bottom]")
    left, top, right, bottom = box
    return [left, top, right - left, bottom - top]
