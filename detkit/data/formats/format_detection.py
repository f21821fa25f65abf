"""Detect the format of a folder: COCO, Pascal VOC, or a known format that is not supported."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from detkit.data.formats.coco.coco_file import is_json, read_coco
from detkit.data.formats.coco.coco_folder import find_coco_files, is_detection_json
from detkit.data.formats.read_file import UnreadableFileError, raise_walk_error, unreadable_error
from detkit.data.formats.run_dirs import has_ledger
from detkit.data.formats.voc.voc_file import parse_voc
from detkit.data.formats.voc.voc_folder import is_voc
from detkit.data.formats.voc.voc_layout import XmlFolders, find_voc_folders
from detkit.data.formats.voc.voc_lists import SPLIT_WORDS, find_split_lists
from detkit.data.formats.xml_text import parse_xml
from detkit.data.images.read_image import IMG_EXTENSIONS
from detkit.errors import DataError
from detkit.files import open_regular
from detkit.text import list_names

MAX_DEPTH = 4
MAX_PROBED_FILES = 5
SUPPORTED_FORMATS = "COCO json or Pascal VOC xml"
# A class index, which some tools write as 0.0, followed by at least four numbers.
YOLO_LINE_PATTERN = re.compile(r"\d+(\.0*)?([ \t]+[-+.\deE]+){4,}\s*$")


@dataclass
class ScannedFiles:
    """The files below a folder by type; each list in alphabetical order.

    Attributes:
        images: the number of images directly in each folder.
        run_dirs: output folders of earlier runs, which are not scanned.
    """

    json_files: list[Path] = field(default_factory=list)
    xml_folders: dict[Path, list[Path]] = field(default_factory=dict)
    text_files: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)
    run_dirs: list[Path] = field(default_factory=list)
    images: Counter[Path] = field(default_factory=Counter)

    @property
    def image_count(self) -> int:
        """The number of images in all folders."""
        return sum(self.images.values())


@dataclass
class DatasetFormat:
    """The format of a data set, and its files for each split.

    Args:
        format: 'coco' or 'voc'; for classification 'folder', 'csv' or 'crops'.
        root: the folder or file to read; for classification, below folders that only wrap it.
        splits: by split name, 'all' for data without splits: the COCO json, the csv, or the
            folder of class folders. Empty for VOC and for crops.
        xml_folders: for VOC, the folders of xml files by split name; 'all' for data without
            splits, and for data that ImageSets divides.
        ignored: files that could be annotations, and are not read.
        images: the number of images directly in each folder below ``root``.
        run_dirs: output folders of earlier runs, which are not read.
        unassigned_folders: folders of images that belong to no split and no class.
    """

    format: str
    root: Path
    splits: dict[str, Path] = field(default_factory=dict)
    xml_folders: dict[str, XmlFolders] = field(default_factory=dict)
    ignored: list[Path] = field(default_factory=list)
    images: Counter[Path] = field(default_factory=Counter)
    run_dirs: list[Path] = field(default_factory=list)
    unassigned_folders: list[Path] = field(default_factory=list)


def detect_format(root: Path, exclude: Path | None = None) -> DatasetFormat:
    """Detect the annotation format of a folder and the files of its splits.

    Args:
        root: an existing folder.
        exclude: a folder that is not scanned: the output folder of runs.

    Raises:
        DataError: there are no annotations, more than one format or file for a split, or the
            format is not supported.
    """
    scanned = scan(root, exclude)
    voc = [
        folder for folder, files in scanned.xml_folders.items() if is_voc(files[:MAX_PROBED_FILES])
    ]
    if voc:
        coco = next(filter(is_detection_json, scanned.json_files), None)
        if coco is not None:
            raise DataError(f"{root}: both Pascal VOC xml ({voc[0]}) and COCO json ({coco})",
                            hint="use the folder that holds only one of them")
        other_xml = [path for folder, files in scanned.xml_folders.items() if folder not in voc
                     for path in files]
        folders = find_voc_folders(root, voc)
        lists = [path for path in scanned.text_files if path.stem.lower() in SPLIT_WORDS
                 and not any(path in find_split_lists(xml_dirs.base)
                             for xml_dirs in folders.values())]
        return DatasetFormat("voc", root, xml_folders=folders,
                             ignored=scanned.json_files + other_xml + lists, images=scanned.images,
                             run_dirs=scanned.run_dirs)
    splits = find_coco_files(root, scanned.json_files)
    if splits:
        used = set(splits.values())
        return DatasetFormat("coco", root, splits,
                             ignored=[path for path in scanned.json_files if path not in used],
                             images=scanned.images, run_dirs=scanned.run_dirs)
    unsupported = _unsupported_format(scanned)
    if unsupported is not None:
        raise DataError(f"{root}: this is {unsupported}, which is not supported",
                        expected=SUPPORTED_FORMATS,
                        hint="convert it to COCO json or Pascal VOC xml")
    for path in scanned.json_files:
        read_coco(path, "all", path.parent)  # raises with what the file is instead
        raise DataError(f"{path}: COCO json without boxes, or for another task")
    for files in scanned.xml_folders.values():
        parse_voc(files[0])  # raises with what the file is instead
    contents = (f"{scanned.image_count} images" if scanned.image_count
                else "neither images nor annotations")
    if scanned.unknown:
        contents += f", and files of unknown formats, such as {list_names(scanned.unknown, 1)}"
    raise DataError(f"{root}: no annotation file; the folder holds {contents}",
                    expected=SUPPORTED_FORMATS)


def scan(root: Path, exclude: Path | None = None) -> ScannedFiles:
    """List the files below a folder by type, at most four folders deep, without hidden ones.

    Raises:
        UnreadableFileError: a folder cannot be read; it could be a split.
    """
    scanned = ScannedFiles()
    # With links, the same folder can be reached twice, or endlessly.
    visited = {root.resolve()} | ({exclude.resolve()} if exclude is not None else set())
    for folder, subfolders, names in os.walk(root, onerror=raise_walk_error, followlinks=True):
        current_dir = Path(folder)
        depth = len(current_dir.relative_to(root).parts)
        kept_names = [
            name for name in sorted(subfolders)
            if depth < MAX_DEPTH and not name.startswith((".", "__MACOSX"))
        ]
        subfolders.clear()
        for name in kept_names:
            real_path = (current_dir / name).resolve()
            if real_path not in visited:
                visited.add(real_path)
                subfolders.append(name)
        # Output of an earlier run on this data.
        if current_dir != root and has_ledger(current_dir):
            scanned.run_dirs.append(current_dir)
            continue
        for name in sorted(names):
            if name.startswith("."):
                continue
            suffix = os.path.splitext(name)[1].lower()
            if suffix in IMG_EXTENSIONS:
                scanned.images[current_dir] += 1
            elif is_json(name):
                scanned.json_files.append(current_dir / name)
            elif suffix == ".xml":
                scanned.xml_folders.setdefault(current_dir, []).append(current_dir / name)
            elif suffix == ".txt":
                scanned.text_files.append(current_dir / name)
            elif suffix in (".csv", ".tsv"):
                scanned.tables.append(current_dir / name)
            elif suffix in (".names", ".yaml", ".yml", ".tfrecord", ".tfrecords", ".record"):
                scanned.others.append(current_dir / name)
            else:
                scanned.unknown.append(current_dir / name)
    return scanned


def _unsupported_format(scanned: ScannedFiles) -> str | None:
    for files in scanned.xml_folders.values():
        try:
            root = parse_xml(files[0])
        except UnreadableFileError:
            raise
        except DataError:
            continue
        if root.tag == "annotations" and root.find("image") is not None:
            return f"CVAT xml ({files[0]})"
    for path in scanned.text_files:
        if YOLO_LINE_PATTERN.match(first_line(path)):
            return f"YOLO text ({path})"
    for path in scanned.others:
        if path.suffix in (".yaml", ".yml", ".names"):
            text = _read_prefix(path, 4096)
            if path.suffix == ".names" or re.search(rb"^(names|nc) *:", text, re.MULTILINE):
                return f"YOLO text ({path})"
        else:
            return f"TFRecord ({path})"
    for path in scanned.tables:
        return f"a table ({path})"
    return None


def first_line(path: Path) -> str:
    """The beginning of the first line of a text file, without surrounding whitespace."""
    line = _read_prefix(path, 400).partition(b"\n")[0]
    return line.decode("utf-8-sig", "replace").strip()


def _read_prefix(path: Path, count: int) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(count)
    except OSError as error:
        raise unreadable_error(path, error) from error
