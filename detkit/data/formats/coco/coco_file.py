"""COCO json files: read one, or say what it is instead."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detkit.data.detection.annotations import (
    ORIGINAL_NAME_KEY,
    PENDING_ISSUES_KEY,
    RawSplit,
    Record,
)
from detkit.data.formats.read_file import read_file
from detkit.data.formats.shape_box import pop_mask_to_bbox
from detkit.errors import DataError
from detkit.machine.memory import max_json_bytes

READ_KEYS = frozenset({
    "images", "annotations", "categories", "id", "image_id", "category_id", "bbox", "file_name",
    "width", "height", "name", "iscrowd", "ignore", "segmentation"
})


def read_coco(path: Path, name: str, image_dir: Path) -> RawSplit:
    """Read a COCO json file with boxes. Masks are passed over while reading, and counted; an
    annotation without a box gets its mask's.

    Raises:
        DataError: the file is missing, empty, no json, or no COCO truth with boxes.
    """
    masks = 0

    # Masks are most of COCO's bytes: dropped as each record is made, they never fill the memory.
    def drop_mask(pairs: list[tuple[str, Any]]) -> Record:
        nonlocal masks
        record = dict(pairs)
        if len(record) < len(pairs):
            _check_duplicate_keys(pairs, path)
        record.pop(PENDING_ISSUES_KEY, None)
        record.pop(ORIGINAL_NAME_KEY, None)
        masks += pop_mask_to_bbox(record)
        return record

    content = _read_json(path, drop_mask)
    problem = coco_format_error(content)
    if problem is not None:
        raise DataError(f"{path}: not COCO truth: {problem}",
                        expected="an object with the lists images, annotations and categories")
    return RawSplit(name, path, image_dir, content["images"], content["annotations"],
                    content["categories"], masks)


def is_coco(path: Path) -> bool:
    """Whether a json file is COCO truth with boxes (or could be: it has no annotation at all).

    Raises:
        DataError: the file cannot be read as json at all.
    """
    content = _read_json(path)
    if coco_format_error(content) is not None:
        return False
    annotations = content["annotations"]
    return not annotations or any("bbox" in record or record.get("segmentation")
                                  for record in annotations[:100])


def is_json(name: str) -> bool:
    """Whether a file's name ends as those of json files do, packed by gzip or not."""
    return name.lower().endswith((".json", ".json.gz"))


def json_stem(path: Path) -> str:
    """The name of a json file without its ending, '.json' or '.json.gz'."""
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


def _read_json(path: Path, object_hook: Any = None) -> Any:
    try:
        content = read_file(path, max_json_bytes(), "the memory is not enough for more", True)
        text = content.decode("utf-8-sig")
        del content
        if not text.strip():
            raise DataError(f"{path}: the file is empty", expected="COCO json")
        return json.loads(text, object_pairs_hook=object_hook)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: not a whole gzip file ({error})", expected="COCO json",
                        hint="unpack it to see what is wrong") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file", expected="COCO json in UTF-8") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not json, line {error.lineno} column {error.colno}: {error.msg}",
                        expected="COCO json") from error
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"{path}: not json ({error})", expected="COCO json") from error
    except RecursionError as error:
        raise DataError(f"{path}: nested too deeply for COCO json") from error


def _check_duplicate_keys(pairs: Sequence[tuple[str, Any]], path: Path) -> None:
    """Refuse an object that says a thing twice and otherwise; json keeps the last alone."""
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in READ_KEYS and values.setdefault(key, value) != value:
            raise DataError(f"{path}: an object has the key '{key}' twice, with different values",
                            got=f"{repr(values[key]):.60} and {repr(value):.60}",
                            expected="each key once")


def coco_format_error(content: Any) -> str | None:
    """What json content is instead of COCO truth; None when it is COCO truth."""
    if isinstance(content, list):
        if content and isinstance(content[0], dict) and "score" in content[0]:
            return f"a results array of {len(content)} detections, without images and categories"
        return f"an array of {len(content)} items"
    if not isinstance(content, dict):
        return f"a single {type(content).__name__}"
    if "shapes" in content and "imagePath" in content:
        return "a LabelMe file of one image"
    for key in ("images", "annotations", "categories"):
        if key not in content:
            return f"the key '{key}' is missing"
        if not isinstance(content[key], list):
            return f"'{key}' is a {type(content[key]).__name__}, no list"
        for index, record in enumerate(content[key]):
            if not isinstance(record, dict):
                return f"{key}[{index}] is a {type(record).__name__}, no object"
    return None
