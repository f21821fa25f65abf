"""Detect the format of classification data: class folders, csv, or a detection data set."""

from __future__ import annotations

import re
from pathlib import Path

from detkit.data.detection.annotations import split_from_name
from detkit.data.formats.class_csv import csv_format_error
from detkit.data.formats.class_folder import contains_images, find_run_dirs, list_subfolders
from detkit.data.formats.coco.coco_file import is_json
from detkit.data.formats.coco.coco_folder import is_detection_json, is_readable_coco
from detkit.data.formats.format_detection import (
    YOLO_LINE_PATTERN,
    DatasetFormat,
    ScannedFiles,
    detect_format,
    first_line,
    scan,
)
from detkit.data.formats.voc.voc_folder import is_voc
from detkit.errors import DataError

SUPPORTED_FORMATS = (
    "class folders (train/CLASS/*.jpg or CLASS/*.jpg), csv files with the columns path and "
    "label, or a COCO or Pascal VOC folder whose boxes are cropped")
SPLIT_NAME_PATTERN = re.compile(r"train(ing)?|val(id|idation)?|test(ing)?", re.IGNORECASE)
MAX_WRAPPER_DEPTH = 4
MAX_PROBED_FILES = 20


def detect_classification_format(root: Path, exclude: Path | None = None) -> DatasetFormat:
    """Detect the format of a folder or a csv file, and the files of its splits.

    A csv with the columns path and label takes precedence over a detection data set, and that
    over class folders.

    Args:
        root: an existing folder or file.
        exclude: a folder that is not scanned: the output folder of runs.

    Raises:
        DataError: none of the formats is found, or the splits are ambiguous.
    """
    if not root.is_dir():
        if root.suffix.lower() not in (".csv", ".tsv"):
            raise DataError(f"{root}: a file that is not csv", expected=SUPPORTED_FORMATS)
        return DatasetFormat("csv", root, {"all": root})
    base = unwrap_folder(root, exclude)
    csv_files = sorted(
        path for path in base.iterdir() if path.suffix.lower() in (".csv", ".tsv")
        and not path.name.startswith(".") and not path.is_dir())
    label_files = [path for path in csv_files if csv_format_error(path) is None]
    if label_files:
        splits = _assign_csv_splits(base, label_files)
        return DatasetFormat("csv", base, splits,
                             ignored=[path for path in csv_files if path not in label_files])
    scanned = scan(base, exclude)
    if _is_detection_data(scanned):
        return DatasetFormat("crops", base)
    if any(YOLO_LINE_PATTERN.match(first_line(path))
           for path in scanned.text_files[:MAX_PROBED_FILES]):
        detect_format(base, exclude)  # raises with the unsupported format
    if csv_files and not (scanned.image_count and _has_two_class_folders(base, exclude)):
        csv_file = min(csv_files, key=lambda path: split_from_name(path.stem) != "train")
        raise DataError(f"{csv_file}: {csv_format_error(csv_file)}")
    layout = _detect_class_folders(base, exclude)
    layout.ignored = csv_files
    layout.run_dirs = find_run_dirs(base) if "all" not in layout.splits else []
    return layout


def unwrap_folder(root: Path, exclude: Path | None = None) -> Path:
    """The first folder at or below ``root`` that holds more than a single folder."""
    for _ in range(MAX_WRAPPER_DEPTH):
        inner = list_subfolders(root, exclude)
        if len(inner) != 1 or SPLIT_NAME_PATTERN.fullmatch(inner[0]) or contains_images(root):
            return root
        siblings = [path for path in root.iterdir() if not path.is_dir()]
        if any(path.suffix.lower() in (".csv", ".tsv", ".xml")
               or (is_json(path.name) and is_readable_coco(path)) for path in siblings):
            return root
        inner_folder = root / inner[0]
        if not list_subfolders(inner_folder, exclude) and not any(
                path.suffix.lower() == ".csv" for path in inner_folder.iterdir()):
            return root
        root = inner_folder
    return root


def _assign_csv_splits(base: Path, label_files: list[Path]) -> dict[str, Path]:
    if len(label_files) == 1:
        return {split_from_name(label_files[0].stem) or "all": label_files[0]}
    splits: dict[str, Path] = {}
    for path in label_files:
        name = split_from_name(path.stem)
        if name is None or name in splits:
            other = splits.get(name or "", next(item for item in label_files if item != path))
            raise DataError(f"{base}: the splits of {other.name} and {path.name} are ambiguous",
                            expected="one csv, or train.csv, val.csv and test.csv",
                            hint="use the path of one csv file")
        splits[name] = path
    return splits


def _has_two_class_folders(base: Path, exclude: Path | None) -> bool:
    """Whether ``base``, or a split in it, holds two folders that could be classes."""
    names = list_subfolders(base, exclude)
    splits = _match_split_folders(base, names)
    return len(names) - len(splits) > 1 or any(
        len(list_subfolders(unwrap_split_folder(base / name, exclude), exclude)) > 1
        for name in splits)


def _match_split_folders(base: Path, names: list[str]) -> dict[str, str]:
    """The split by folder name, of the folders that are named after a split.

    A folder with images directly in it is a class, unless its name is exactly that of a split, or
    all folders are named after splits, such as train_images and test_images.
    """
    split_by_name = {name: split for name in names if (split := split_from_name(name)) is not None}
    if len(split_by_name) == len(names) > 1:
        return split_by_name
    return {name: split for name, split in split_by_name.items()
            if SPLIT_NAME_PATTERN.fullmatch(name) or not contains_images(base / name)}


def _is_detection_data(scanned: ScannedFiles) -> bool:
    if any(is_voc(files[:5]) for files in list(scanned.xml_folders.values())[:MAX_PROBED_FILES]):
        return True
    # Some data sets have a small json beside each image; the annotation files are the largest.
    files = sorted(scanned.json_files, key=file_size, reverse=True)[:MAX_PROBED_FILES]
    return any(map(is_detection_json, files))


def file_size(path: Path) -> int:
    """The size of a file in bytes; 0 for a broken link."""
    return path.stat().st_size if path.exists() else 0


def _detect_class_folders(base: Path, exclude: Path | None) -> DatasetFormat:
    names = list_subfolders(base, exclude)
    if not names:
        raise DataError(f"{base}: no class folder", got="images only" if contains_images(base)
                        else "neither images nor folders", expected=SUPPORTED_FORMATS)
    split_by_name = _match_split_folders(base, names)
    others = [name for name in names if name not in split_by_name]
    with_images = [name for name in others if contains_images(base / name, recursive=True)]
    if not split_by_name or (with_images and len(split_by_name) == 1
                             and contains_images(base / next(iter(split_by_name)))):
        if not with_images and not split_by_name:
            raise DataError(f"{base}: none of its {len(names)} folders holds an image",
                            expected=SUPPORTED_FORMATS)
        return DatasetFormat("folder", base, {"all": base})
    if with_images and len(split_by_name) == 1:
        raise DataError(f"{base}: '{next(iter(split_by_name))}' looks like a split, but "
                        f"'{with_images[0]}' beside it holds images, too",
                        hint=f"if it is a split, move '{with_images[0]}' elsewhere; if it is a "
                        f"class, rename '{next(iter(split_by_name))}'")
    splits: dict[str, Path] = {}
    for name, split in split_by_name.items():
        if split in splits:
            raise DataError(
                f"{base}: '{splits[split].name}' and '{name}' could both be the {split} "
                "split", hint="rename one of the two folders")
        splits[split] = base / name
    splits = {
        split: unwrap_split_folder(splits[split], exclude)
        for split in ("train", "val", "test")
        if split in splits
    }
    return DatasetFormat("folder", base, splits,
                         unassigned_folders=[base / name for name in with_images])


def unwrap_split_folder(folder: Path, exclude: Path | None) -> Path:
    """The folder with a split's class folders; some data sets repeat the split: train/train."""
    inner = list_subfolders(folder, exclude)
    if len(inner) == 1 and not contains_images(folder) and (
            split_from_name(inner[0]) == split_from_name(folder.name)):
        return folder / inner[0]
    return folder
