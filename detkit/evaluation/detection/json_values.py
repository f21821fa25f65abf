"""Reads JSON files and parses the ids, numbers and boxes of COCO files."""

from __future__ import annotations

import json
import math
import os
import zlib
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Union

import numpy as np

from detkit.errors import DataError
from detkit.files import read_bytes, special_file_type
from detkit.machine.memory import max_json_bytes

Id = Union[int, str]


def read_json(path: Path) -> Any:
    """The content of a JSON file, which may be compressed by gzip.

    Raises:
        DataError: the file is missing, or is not JSON.
    """
    # os.path returns False, where Path raises, for names too long for the file system.
    if not os.path.isfile(path):
        raise DataError(f"{path}: no such file" if not os.path.exists(path) else
                        f"{path}: not a file but {special_file_type(path) or 'a folder'}")
    try:
        content = read_bytes(path, max_json_bytes(), "the memory is not enough for more", True)
        return json.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except EOFError as error:
        raise DataError(f"{path}: truncated gzip file ({error})") from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: not a JSON file: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except (ValueError, RecursionError, zlib.error) as error:
        raise DataError(f"{path}: not a JSON file: {error}") from error


def parse_id(value: object) -> Id | None:
    """An id, such as 7, 7.0 or 'seven'; None for an invalid one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and float(value).is_integer():
        return int(float(value))
    return None


def parse_number(value: object) -> float | None:
    """A finite number as a float; None for anything else, such as strings, nan and infinity."""
    # The most frequent case; the check for an abstract Real takes ten times as long.
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def parse_box(value: object) -> list[float] | None:
    """A box [x, y, width, height] of four finite numbers; None for anything else."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        return None
    numbers = [parse_number(item) for item in value]
    box = [number for number in numbers if number is not None]
    return box if len(box) == len(numbers) == 4 else None


def format_ids(ids: Any, limit: int = 8) -> str:
    """Ids for a message: '1..80' if they are consecutive, else the first few."""
    ids = list(ids)
    if len(ids) > 2 and all(isinstance(item, int) for item in ids):
        ordered = sorted(ids)
        if ordered[-1] - ordered[0] == len(ordered) - 1:
            return f"{ordered[0]}..{ordered[-1]}"
    text = ", ".join(repr(item) for item in ids[:limit])
    return text + (f", ... ({len(ids)} in total)" if len(ids) > limit else "")
