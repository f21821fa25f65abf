"""What a path holds for a classifier: class folders, csv lists, or a detection set to crop."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from detkit.data.detection.annotations import split_word
from detkit.data.formats.class_csv import csv_kind
from detkit.data.formats.class_folder import holds_pictures, runs_in, subfolders
from detkit.data.formats.coco.coco_file import is_json, json_stem
from detkit.data.formats.coco.coco_folder import OTHER_TASKS, readable_coco
from detkit.data.formats.format_detection import YOLO_LINE, Seen, first_line, look, scan
from detkit.data.formats.voc.voc_folder import is_voc
from detkit.errors import DataError

READS = ("class folders (train/CLASS/*.jpg or CLASS/*.jpg), csv files with the columns path and "
         "label, or a COCO or Pascal VOC folder whose boxes to cut out")
EXACT = re.compile(r"train(ing)?|val(id|idation)?|test(ing)?", re.IGNORECASE)
WRAPPINGS = 4
LOOKED_INTO = 20


@dataclass
class ClassLayout:
    """The format of a path and what it holds for each split.

    Args:
        form: 'folder', 'csv' or 'crops'.
        root: the folder or file to read, below what wraps it.
        parts: the folder of class folders, or the csv file, by split; 'all' for a set without
            splits. Empty for crops, which ``open_data`` looks into.
        not_read: files that look like lists and were passed over.
        passed_over: folders with pictures that are neither a split nor of a class.
        runs: folders that earlier runs wrote, beside the splits.
    """

    form: str
    root: Path
    parts: dict[str, Path] = field(default_factory=dict)
    not_read: list[Path] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)
    runs: list[Path] = field(default_factory=list)


def look_for_classes(root: Path, skip: Path | None = None) -> ClassLayout:
    """Find out what a folder or a csv file holds.

    A csv with the columns path and label goes before all else, a detection set before class
    folders.

    Args:
        root: an existing folder or file.
        skip: a folder below it that is passed over: where runs are written.

    Raises:
        DataError: nothing of it is found, or it cannot be told which of two things is meant.
    """
    if not root.is_dir():
        if root.suffix.lower() not in (".csv", ".tsv"):
            raise DataError(f"{root}: a file, and no csv", expected=READS)
        return ClassLayout("csv", root, {"all": root})
    base = unwrap(root, skip)
    tables = sorted(path for path in base.iterdir() if path.suffix.lower() in (".csv", ".tsv")
                    and not path.name.startswith(".") and not path.is_dir())
    lists = [path for path in tables if csv_kind(path) is None]
    if lists:
        parts = _csv_parts(base, lists)
        return ClassLayout("csv", base, parts, [path for path in tables if path not in lists])
    seen = scan(base, skip)
    if _is_detection(seen):
        return ClassLayout("crops", base)
    if any(YOLO_LINE.match(first_line(path)) for path in seen.text_files[:LOOKED_INTO]):
        look(base, skip)  # says what it is instead
    if tables and not (seen.image_count and _two_folders(base, skip)):
        table = min(tables, key=lambda path: split_word(path.stem) != "train")
        raise DataError(f"{table}: {csv_kind(table)}")
    found = _class_folders(base, skip)
    found.not_read = tables
    found.runs = runs_in(base) if "all" not in found.parts else []
    return found


def unwrap(root: Path, skip: Path | None = None) -> Path:
    """The folder below ``root`` that is not merely a folder around one other folder."""
    for _ in range(WRAPPINGS):
        inner = subfolders(root, skip)
        if len(inner) != 1 or EXACT.fullmatch(inner[0]) or holds_pictures(root):
            return root
        beside = [path for path in root.iterdir() if not path.is_dir()]
        if any(path.suffix.lower() in (".csv", ".tsv", ".xml")
               or (is_json(path.name) and readable_coco(path)) for path in beside):
            return root
        below = root / inner[0]
        if not subfolders(below, skip) and not any(
                path.suffix.lower() == ".csv" for path in below.iterdir()):
            return root
        root = below
    return root


def _csv_parts(base: Path, lists: list[Path]) -> dict[str, Path]:
    if len(lists) == 1:
        return {split_word(lists[0].stem) or "all": lists[0]}
    parts: dict[str, Path] = {}
    for path in lists:
        name = split_word(path.stem)
        if name is None or name in parts:
            other = parts.get(name or "", next(item for item in lists if item != path))
            raise DataError(f"{base}: it cannot be told which split {path.name} is beside "
                            f"{other.name}", expected="one csv, or train.csv, val.csv and test.csv",
                            do="name the one csv file to use")
        parts[name] = path
    return parts


def _two_folders(base: Path, skip: Path | None) -> bool:
    """Whether two folders that could be classes lie side by side, in ``base`` or in a split."""
    names = subfolders(base, skip)
    splits = _split_folders(base, names)
    return len(names) - len(splits) > 1 or any(
        len(subfolders(unwrap_split(base / name, skip), skip)) > 1 for name in splits)


def _split_folders(base: Path, names: list[str]) -> dict[str, str]:
    """Name -> split of the folders that are called for one; pictures lie deeper in them.

    Where all are called for a split, as train_images and test_images, they are no classes.
    """
    words = {name: word for name in names if (word := split_word(name)) is not None}
    if len(words) == len(names) > 1:
        return words
    return {name: word for name, word in words.items()
            if EXACT.fullmatch(name) or not holds_pictures(base / name)}


def _is_detection(seen: Seen) -> bool:
    if any(is_voc(files[:5]) for files in list(seen.xml_folders.values())[:LOOKED_INTO]):
        return True
    # A folder may hold a small json beside each picture; a set's truth is among the largest.
    files = sorted(seen.json_files, key=size_of, reverse=True)[:LOOKED_INTO]
    return any(not OTHER_TASKS.search(json_stem(path).lower()) and readable_coco(path)
               for path in files)


def size_of(path: Path) -> int:
    """Bytes of a file; 0 for a broken link."""
    return path.stat().st_size if path.exists() else 0


def _class_folders(base: Path, skip: Path | None) -> ClassLayout:
    names = subfolders(base, skip)
    if not names:
        raise DataError(f"{base}: no class folder", got="pictures only" if holds_pictures(base)
                        else "neither pictures nor folders", expected=READS)
    words = _split_folders(base, names)
    others = [name for name in names if name not in words]
    with_pictures = [name for name in others if holds_pictures(base / name, below=True)]
    if not words or (with_pictures and len(words) == 1
                     and holds_pictures(base / next(iter(words)))):
        if not with_pictures and not words:
            raise DataError(f"{base}: none of its {len(names)} folders holds a picture",
                            expected=READS)
        return ClassLayout("folder", base, {"all": base})
    if with_pictures and len(words) == 1:
        raise DataError(f"{base}: '{next(iter(words))}' looks like a split, and "
                        f"'{with_pictures[0]}' beside it holds pictures too",
                        do=f"move '{with_pictures[0]}' elsewhere if it is no class; rename "
                        f"'{next(iter(words))}' if it is one")
    parts: dict[str, Path] = {}
    for name, word in words.items():
        if word in parts:
            raise DataError(f"{base}: '{parts[word].name}' and '{name}' could both be the {word} "
                            "split", do="rename one of the two folders")
        parts[word] = base / name
    parts = {word: unwrap_split(parts[word], skip) for word in ("train", "val", "test")
             if word in parts}
    return ClassLayout("folder", base, parts, [], [base / name for name in with_pictures])


def unwrap_split(folder: Path, skip: Path | None) -> Path:
    """A split's class folders, which may lie in one more folder called for the split."""
    inner = subfolders(folder, skip)
    if len(inner) == 1 and not holds_pictures(folder) and (
            split_word(inner[0]) == split_word(folder.name)):
        return folder / inner[0]
    return folder
