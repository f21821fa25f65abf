"""Read a COCO json file, or say what the file is instead."""

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
    """Read a COCO json file with boxes. Masks are dropped and counted while reading; an
    annotation without a box gets the bounding box of its mask.

    Raises:
        DataError: the file is missing, empty, not json, or not a COCO annotation file.
    """
    masks = 0

    # Most bytes of COCO are masks: dropped with each record, they do not take memory.
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
        raise DataError(f"{path}: not a COCO annotation file: {problem}",
                        expected="an object with the lists images, annotations and categories")
    return RawSplit(name, path, image_dir, content["images"], content["annotations"],
                    content["categories"], masks)


def is_coco(path: Path) -> bool:
    """Whether a json file is a COCO annotation file with boxes, or without any annotation.

    Raises:
        DataError: the file cannot be read as json.
    """
    content = _read_json(path)
    if coco_format_error(content) is not None:
        return False
    annotations = content["annotations"]
    return not annotations or any("bbox" in record or record.get("segmentation")
                                  for record in annotations[:100])


def is_json(name: str) -> bool:
    """Whether a file name ends in '.json' or '.json.gz'."""
    return name.lower().endswith((".json", ".json.gz"))


def json_stem(path: Path) -> str:
    """The name of a json file without its suffix, '.json' or '.json.gz'."""
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
        raise DataError(f"{path}: an invalid or truncated gzip file ({error})",
                        expected="COCO json", hint="test it with gunzip") from error
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
    """Reject an object that has a key twice with different values; json keeps only the last."""
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in READ_KEYS and values.setdefault(key, value) != value:
            raise DataError(f"{path}: an object has the key '{key}' twice, with different values",
                            got=f"{repr(values[key]):.60} and {repr(value):.60}",
                            expected="each key once")


def coco_format_error(content: Any) -> str | None:
    """What json content is instead of COCO annotations; None when it is COCO annotations."""
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
            return f"'{key}' is a {type(content[key]).__name__}, not a list"
        for index, record in enumerate(content[key]):
            if not isinstance(record, dict):
                return f"{key}[{index}] is a {type(record).__name__}, not an object"
    return None
