"""Results in COCO's array form, checked against the truth they are meant for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detkit.errors import DataError
from detkit.evaluation.detection.ground_truth import Truth
from detkit.evaluation.detection.json_values import Id, as_box, as_id, as_number, read_json, shown
from detkit.text import near_name

FORM = "an array of {image_id, category_id, bbox: [x, y, width, height], score}"


def read_results(
    results: str | Path | Sequence[Mapping[str, Any]], truth: Truth, name: str = "results"
) -> list[dict[str, Any]]:
    """Read and check COCO results; what was given is not changed.

    Args:
        results: a path, or the array that such a file holds. May be empty.
        truth: whose image and category ids the results use.
        name: how messages call results that do not come from a file.

    Returns:
        The detections in the given order, with the keys that pycocotools reads: ``id`` from 1,
        ``image_id`` and ``category_id`` as positions in ``truth``, ``bbox`` xywh in pixels,
        ``area`` width times height, ``iscrowd`` 0, ``score``.

    Raises:
        DataError: not an array of such objects, an id that the truth does not have, a bbox or
            score that is missing, not finite or negative in size. Says how many and which first.
    """
    held: Any = results
    if isinstance(results, (str, Path)):
        name, held = str(results), read_json(Path(results))
    _check_form(name, held)
    read: list[dict[str, Any]] = []
    strange_images: list[tuple[int, object]] = []
    strange_categories: list[tuple[int, object]] = []
    for index, item in enumerate(held):
        image, category = as_id(item.get("image_id")), as_id(item.get("category_id"))
        if image is None or image not in truth.images:
            strange_images.append((index, item.get("image_id")))
        elif category is None or category not in truth.categories:
            strange_categories.append((index, item.get("category_id")))
        else:
            box, score = _box(name, index, item), _score(name, index, item)
            read.append({"id": index + 1, "image_id": truth.images[image], "bbox": box,
                         "area": box[2] * box[3], "iscrowd": 0, "score": score,
                         "category_id": truth.categories[category]})
    if strange_images:
        raise _strangers(name, "image_id", strange_images, len(held), truth.name, truth.images,
                         _image_hint(strange_images, truth))
    if strange_categories:
        raise _strangers(name, "category_id", strange_categories, len(held), truth.name,
                         truth.categories, _category_hint(strange_categories, held, truth))
    return read


def _check_form(name: str, held: Any) -> None:
    if isinstance(held, Mapping):
        inside = ", ".join(map(str, list(held)[:6])) or "nothing in it"
        do = None
        scored = held.get("annotations")
        if isinstance(scored, list) and scored and isinstance(scored[0], Mapping):
            if "score" in scored[0]:
                do = ("its 'annotations' hold scores: if their image and category ids are those "
                      "of the truth, save that list by itself")
            else:
                do = "this looks like an annotation file: the truth comes first, results second"
        raise DataError(f"{name}: this is not a results file", got=f"an object with {inside}",
                        expected=FORM, do=do)
    if isinstance(held, (str, bytes)) or not isinstance(held, Sequence):
        raise DataError(f"{name}: this is not a results file", got=type(held).__name__,
                        expected=FORM)
    for index, item in enumerate(held):
        if not isinstance(item, Mapping):
            raise DataError(f"{name}: results[{index}] is not an object", got=repr(item)[:60],
                            expected=FORM)
    without = [index for index, item in enumerate(held) if not _has_box(item)]
    if without:
        first = held[without[0]]
        kind = next((key for key in ("segmentation", "keypoints", "caption") if key in first), None)
        raise DataError(
            f"{name}: {len(without)} of {len(held)} results have no 'bbox', "
            f"the first is results[{without[0]}]",
            got=f"an object with {', '.join(map(str, first)) or 'nothing in it'}", expected=FORM,
            do=f"these hold '{kind}', but boxes are measured here" if kind else None,
        )


def _has_box(item: Mapping[str, Any]) -> bool:
    box = item.get("bbox")
    return box is not None and not (isinstance(box, list) and not box)


def _box(name: str, index: int, item: Mapping[str, Any]) -> list[float]:
    box = as_box(item["bbox"])
    if box is None:
        raise DataError(f"{name}: results[{index}] (image {item['image_id']!r}) has no usable bbox",
                        got=repr(item["bbox"])[:80], expected="four finite numbers")
    if min(box[2:]) < 0:
        raise DataError(
            f"{name}: results[{index}] (image {item['image_id']!r}) has a bbox of negative size",
            got=box, expected="[x, y, width, height], not the corners x1, y1, x2, y2",
        )
    return box


def _score(name: str, index: int, item: Mapping[str, Any]) -> float:
    score = as_number(item.get("score"))
    if score is None:
        raise DataError(
            f"{name}: results[{index}] (image {item['image_id']!r}) has no usable score",
            got=repr(item["score"]) if "score" in item else "none", expected="a finite number",
        )
    return score


def _strangers(
    name: str, key: str, strangers: list[tuple[int, object]], total: int, truth_name: str,
    known: Mapping[Id, int], hint: str | None,
) -> DataError:
    different = list(dict.fromkeys(repr(value) for _, value in strangers))
    some = ", ".join(different[:5]) + (", ..." if len(different) > 5 else "")
    what = (f"{name}: {len(strangers)} of {total} results have an unknown {key}, none of "
            f"{truth_name}; the first is results[{strangers[0][0]}]")
    return DataError(what, got=some, expected=shown(known), do=hint)


def _image_hint(strangers: list[tuple[int, object]], truth: Truth) -> str | None:
    value = strangers[0][1]
    stems = {Path(file).stem: found for found, file in truth.files.items()}
    files = {file: found for found, file in truth.files.items()}
    if isinstance(value, str):
        for found in (files.get(value), stems.get(Path(value).stem)):
            if found is not None:
                return f"these are file names: write the image's id, {found!r} for {value!r}"
    return _kind_hint(value, truth.images)


def _category_hint(
    strangers: list[tuple[int, object]], held: Sequence[Mapping[str, Any]], truth: Truth
) -> str | None:
    value = strangers[0][1]
    if isinstance(value, str) and value in truth.class_names:
        place = truth.class_names.index(value)
        found = next(key for key, where in truth.categories.items() if where == place)
        return f"write the category's id, {found!r} for {value!r}"
    ids = [as_id(item.get("category_id")) for item in held]
    if 0 in ids and all(isinstance(item, int) and item + 1 in truth.categories for item in ids):
        return "they seem to count from 0, the truth from 1: add 1 to each"
    return _kind_hint(value, truth.categories)


def _kind_hint(value: object, known: Mapping[Id, int]) -> str | None:
    """What to say of an id that is another kind than the known ones, or a near miss."""
    by_text = {str(item): item for item in known}
    text = str(value)
    if text in by_text and type(value) is not type(by_text[text]):
        return f"the truth writes {by_text[text]!r}, not {value!r}: use the same kind"
    near = near_name(text, by_text)
    return f"the nearest is {by_text[near]!r}" if near else None
