"""From the path of a data set to its ledger and output folder, for both tasks."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from detkit.data.formats.format_detection import DatasetFormat
from detkit.data.formats.run_dirs import LEDGER_NAME, describe_run_dirs
from detkit.data.report.ledger import LOGGER, Ledger
from detkit.errors import DataError
from detkit.text import list_names

SplitT = TypeVar("SplitT")

SAMPLE = "sample"
MAX_LISTED = 5


@dataclass(frozen=True)
class LoadedData(Generic[SplitT]):
    """A checked data set.

    Args:
        root: the folder or csv file that was named, or the folder of the built-in sample.
        format: 'coco', 'voc' or 'sample'; for classification 'folder', 'csv' or 'crops'.
        classes: class names in the order of their labels from 0.
        splits: 'train', 'val' and 'test'; 'train' is missing only when it was not required.
        ledger: the issues found and their resolutions.
    """

    root: Path
    format: str
    classes: tuple[str, ...]
    splits: dict[str, SplitT]
    ledger: Ledger


def resolve_root(path: str | Path, expected: str, seed: int, allow_file: bool = False) -> Path:
    """The absolute path of a data set; the built-in sample is created where it is named.

    Args:
        path: a folder, a file, or 'sample'.
        expected: the supported formats, for messages.
        seed: of the sample.
        allow_file: whether a file is accepted, too.

    Raises:
        DataError: nothing is there, or it is a file and only a folder is accepted.
    """
    if str(path) == SAMPLE:
        if Path(SAMPLE).is_dir():
            LOGGER.warning("data: 'sample' means the built-in sample; for the folder of that name "
                           "use ./%s", SAMPLE)
        from detkit.data.synthetic.sample import ensure_sample

        return ensure_sample(seed).resolve()
    root = Path(path).expanduser()
    # os.path.exists is false, where Path.exists raises, for names too long for a file system.
    if not str(path) or not os.path.exists(root):
        raise DataError(f"'{path}': no such {'file or folder' if allow_file else 'folder'}",
                        expected=f"{expected}, or '{SAMPLE}' for the built-in data set")
    if not allow_file and not root.is_dir():
        raise DataError(f"'{path}': a file", expected="the folder of a data set",
                        hint=f"use its folder: {root.parent}")
    return root.resolve()


def start_ledger(layout: DatasetFormat, root: Path, name: str, unit: str) -> Ledger:
    """Log the format of a data set, and begin a ledger with notes on the ignored files.

    Args:
        layout: what ``root`` holds.
        root: the data set.
        name: of the format; nothing in the built-in sample is noted as ignored.
        unit: what the ledger counts.
    """
    LOGGER.info("data: %s is read as %s", root, name)
    ledger = Ledger(str(root), unit=unit)
    if layout.ignored and name != SAMPLE:
        ignored = [str(file.relative_to(layout.root)) for file in layout.ignored]
        ledger.notes.append("not read: " + list_names(ignored, MAX_LISTED))
    ledger.notes += describe_run_dirs(layout.run_dirs, layout.root)
    return ledger


def ensure_train_split(splits: Collection[str], root: Path, hint: str) -> None:
    """Check that there is a train split, or one that can be divided.

    Raises:
        DataError: there is neither.
    """
    if not {"train", "all"} & set(splits):
        raise DataError(f"{root}: no train split, only {' and '.join(splits)}", hint=hint)


def data_output_dir(work_dir: Path, root: Path) -> Path:
    """The folder for the files of this data set: one that no other data set uses.

    Returns:
        ``work_dir/data``, or ``work_dir/data_<hash>`` where that belongs to another data set.
    """
    first = work_dir / "data"
    try:
        source = json.loads((first / LEDGER_NAME).read_text(encoding="utf-8"))["source"]
    except (OSError, ValueError, KeyError, TypeError):
        source = None if first.is_dir() and any(first.iterdir()) else str(root)
    if source == str(root):
        return first
    return work_dir / f"data_{hashlib.sha256(os.fsencode(root)).hexdigest()[:8]}"


def finish_ledger(ledger: Ledger, output_dir: Path, earlier: Ledger | None = None) -> None:
    """Write and log a ledger, and stop at errors.

    Args:
        ledger: all splits are checked.
        output_dir: the folder for ``ledger.json``.
        earlier: the ledger of a preceding check of the same data, already logged; it is written
            to the same file, before the new issues.

    Raises:
        DataError: the ledger has an issue that is an error; the file is written first.
    """
    file = output_dir / LEDGER_NAME
    if earlier is None:
        ledger.write(file)
        ledger.log(file)
    else:
        ledger.log()
        ledger.prepend(earlier)
        ledger.write(file)
    ledger.raise_errors(hint=f"all issues are listed in {file}")
