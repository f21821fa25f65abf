"""Reads detections in COCO results format and validates them against the ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detkit.errors import DataError
from detkit.evaluation.detection.ground_truth import CocoGroundTruth
from detkit.evaluation.detection.json_values import (
    Id,
    format_ids,
    parse_box,
    parse_id,
    parse_number,
    read_json,
)
from detkit.evaluation.detection.predict_results import is_predict_document, to_coco_results
from detkit.text import closest_name, list_names

EXPECTED_FORMAT = "an array of {image_id, category_id, bbox: [x, y, width, height], score}"


def read_results(results: str | Path | Sequence[Mapping[str, Any]], ground_truth: CocoGroundTruth,
                 name: str = "results", on_note: Callable[[str], None] = lambda note: None,
                 ) -> list[dict[str, Any]]:
    """Read and validate COCO results; the input is not modified.

    Args:
        results: a path, or the content of such a file. May be empty. Or predict's results file.
        ground_truth: the ground truth whose image and category ids the results use.
        name: name in messages of results that do not come from a file.
        on_note: called with each sentence on what of predict's file could not be matched.

    Returns:
        The detections in the given order, with the keys that pycocotools reads: ``id`` from 1,
        ``image_id`` and ``category_id`` as indices into ``ground_truth``, ``bbox`` xywh in pixels,
        ``area`` width times height, ``iscrowd`` 0, ``score``.

    Raises:
        DataError: not an array of such objects, an id that is not in the ground truth, or a bbox
            or score that is missing, not finite or of negative size.
    """
    content: Any = results
    if isinstance(results, (str, Path)):
        name, content = str(results), read_json(Path(results))
    if is_predict_document(content):
        content = to_coco_results(content, ground_truth, name, on_note)
    _check_format(name, content)
    detections: list[dict[str, Any]] = []
    unknown_images: list[tuple[int, object]] = []
    unknown_categories: list[tuple[int, object]] = []
    for index, item in enumerate(content):
        image, category = parse_id(item.get("image_id")), parse_id(item.get("category_id"))
        if image is None or image not in ground_truth.images:
            unknown_images.append((index, item.get("image_id")))
        elif category is None or category not in ground_truth.categories:
            unknown_categories.append((index, item.get("category_id")))
        else:
            box, score = _parse_box(name, index, item), _parse_score(name, index, item)
            detections.append({
                "id": index + 1, "image_id": ground_truth.images[image], "bbox": box,
                "area": box[2] * box[3], "iscrowd": 0, "score": score,
                "category_id": ground_truth.categories[category]
            })
    if unknown_images:
        raise _unknown_ids_error(name, "image_id", unknown_images, len(content), ground_truth.name,
                                 ground_truth.images, _image_hint(unknown_images, ground_truth))
    if unknown_categories:
        raise _unknown_ids_error(name, "category_id", unknown_categories, len(content),
                                 ground_truth.name, ground_truth.categories,
                                 _category_hint(unknown_categories, content, ground_truth))
    return detections


def _check_format(name: str, content: Any) -> None:
    if isinstance(content, Mapping):
        inside = ", ".join(map(str, list(content)[:6])) or "no keys"
        hint = None
        scored = content.get("annotations")
        if isinstance(scored, list) and scored and isinstance(scored[0], Mapping):
            if "score" in scored[0]:
                hint = ("its 'annotations' have scores: if their image and category ids are those "
                        "of the ground truth, save that list as the results file")
            else:
                hint = ("this looks like an annotation file: give the annotation file first, the "
                        "results second")
        raise DataError(f"{name}: not a results file", got=f"an object with {inside}",
                        expected=EXPECTED_FORMAT, hint=hint)
    if isinstance(content, (str, bytes)) or not isinstance(content, Sequence):
        raise DataError(f"{name}: not a results file", got=type(content).__name__,
                        expected=EXPECTED_FORMAT)
    for index, item in enumerate(content):
        if not isinstance(item, Mapping):
            raise DataError(f"{name}: results[{index}] is not an object", got=repr(item)[:60],
                            expected=EXPECTED_FORMAT)
    missing = [index for index, item in enumerate(content) if not _has_box(item)]
    if missing:
        first = content[missing[0]]
        annotation_type = next(
            (key for key in ("segmentation", "keypoints", "caption") if key in first), None)
        raise DataError(
            f"{name}: {len(missing)} of {len(content)} results have no 'bbox', "
            f"the first is results[{missing[0]}]",
            got=f"an object with {', '.join(map(str, first)) or 'no keys'}",
            expected=EXPECTED_FORMAT,
            hint=f"they have '{annotation_type}', but boxes are evaluated here"
            if annotation_type else None,
        )


def _has_box(item: Mapping[str, Any]) -> bool:
    box = item.get("bbox")
    return box is not None and not (isinstance(box, list) and not box)


def _parse_box(name: str, index: int, item: Mapping[str, Any]) -> list[float]:
    box = parse_box(item["bbox"])
    if box is None:
        raise DataError(f"{name}: results[{index}] (image {item['image_id']!r}): invalid bbox",
                        got=repr(item["bbox"])[:80], expected="four finite numbers")
    if min(box[2:]) < 0:
        raise DataError(
            f"{name}: results[{index}] (image {item['image_id']!r}) has a bbox of negative size",
            got=box, expected="[x, y, width, height], not the corners x1, y1, x2, y2",
        )
    return box


def _parse_score(name: str, index: int, item: Mapping[str, Any]) -> float:
    score = parse_number(item.get("score"))
    if score is None:
        raise DataError(
            f"{name}: results[{index}] (image {item['image_id']!r}): invalid score",
            got=repr(item["score"]) if "score" in item else "none", expected="a finite number",
        )
    return score


def _unknown_ids_error(
    name: str, key: str, unknown: list[tuple[int, object]], total: int, ground_truth_name: str,
    known: Mapping[Id, int], hint: str | None,
) -> DataError:
    distinct = list(dict.fromkeys(repr(value) for _, value in unknown))
    message = (f"{name}: {len(unknown)} of {total} results have an unknown {key}, not in "
               f"{ground_truth_name}; the first is results[{unknown[0][0]}]")
    return DataError(message, got=list_names(distinct), expected=format_ids(known), hint=hint)


def _image_hint(unknown: list[tuple[int, object]], ground_truth: CocoGroundTruth) -> str | None:
    value = unknown[0][1]
    stems = {Path(file).stem: matched_id for matched_id, file in ground_truth.files.items()}
    files = {file: matched_id for matched_id, file in ground_truth.files.items()}
    if isinstance(value, str):
        for matched_id in (files.get(value), stems.get(Path(value).stem)):
            if matched_id is not None:
                return f"these are file names: use the image's id, {matched_id!r} for {value!r}"
    return _id_hint(value, ground_truth.images)


def _category_hint(unknown: list[tuple[int, object]], content: Sequence[Mapping[str, Any]],
                   ground_truth: CocoGroundTruth) -> str | None:
    value = unknown[0][1]
    if isinstance(value, str) and value in ground_truth.class_names:
        category_index = ground_truth.class_names.index(value)
        matched_id = next(key for key, position in ground_truth.categories.items()
                          if position == category_index)
        return f"use the category's id, {matched_id!r} for {value!r}"
    ids = [parse_id(item.get("category_id")) for item in content]
    if 0 in ids and all(
            isinstance(item, int) and item + 1 in ground_truth.categories for item in ids):
        return "they seem to start at 0, the ground truth at 1: add 1 to each"
    return _id_hint(value, ground_truth.categories)


def _id_hint(value: object, known: Mapping[Id, int]) -> str | None:
    """The known id of another type with the same text, or the most similar one."""
    by_text = {str(item): item for item in known}
    text = str(value)
    if text in by_text and type(value) is not type(by_text[text]):
        return f"the ground truth has {by_text[text]!r}, not {value!r}: use the same type"
    suggestion = closest_name(text, by_text)
    return f"did you mean {by_text[suggestion]!r}?" if suggestion else None
