"""What a folder holds: COCO, Pascal VOC, or a format that is known but not read yet."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from detkit.data.formats.coco.coco_file import is_json, json_stem, read_coco
from detkit.data.formats.coco.coco_folder import OTHER_TASKS, find_coco_files, readable_coco
from detkit.data.formats.read_file import UnreadableFile, stop_at, unreadable
from detkit.data.formats.run_folder import holds_ledger
from detkit.data.formats.voc.voc_file import parse_voc
from detkit.data.formats.voc.voc_folder import is_voc
from detkit.data.formats.voc.voc_layout import XmlFolders, find_voc_folders
from detkit.data.formats.voc.voc_lists import WORDS, list_files
from detkit.data.formats.xml_text import xml_root
from detkit.data.images.read_image import SUFFIXES
from detkit.errors import DataError
from detkit.files import open_regular

DEPTH = 4
LOOKED_INTO = 5
READS = "COCO json or Pascal VOC xml"
# A class index, which some tools write as 0.0, and at least four numbers.
YOLO_LINE = re.compile(r"\d+(\.0*)?([ \t]+[-+.\deE]+){4,}\s*$")


@dataclass
class Seen:
    """Files below a folder that tell its format; each list in alphabetical order.

    Attributes:
        images: how many images lie directly in each folder.
        runs: folders that earlier runs wrote, which are passed over.
    """

    json_files: list[Path] = field(default_factory=list)
    xml_folders: dict[Path, list[Path]] = field(default_factory=dict)
    text_files: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)
    runs: list[Path] = field(default_factory=list)
    images: Counter[Path] = field(default_factory=Counter)

    @property
    def image_count(self) -> int:
        """How many images there are in all folders."""
        return sum(self.images.values())


@dataclass
class Layout:
    """The format of a folder and what it holds for each split.

    Args:
        form: 'coco' or 'voc'.
        parts: of COCO the json file by split name; 'all' for a set without splits.
        xml_folders: of VOC the folders of xml files by split name; 'all' for a set without
            splits, and for one whose lists make them.
        not_read: files that look like annotations and were passed over.
        images: how many images lie directly in each folder below.
        runs: folders that earlier runs wrote, which were passed over.
    """

    form: str
    parts: dict[str, Path] = field(default_factory=dict)
    xml_folders: dict[str, XmlFolders] = field(default_factory=dict)
    not_read: list[Path] = field(default_factory=list)
    images: Counter[Path] = field(default_factory=Counter)
    runs: list[Path] = field(default_factory=list)


def look(root: Path, skip: Path | None = None) -> Layout:
    """Find out what a folder holds.

    Args:
        root: an existing folder.
        skip: a folder below it that is passed over: where runs are written.

    Raises:
        DataError: nothing is found, two formats or files are, or the format is not read yet.
    """
    seen = scan(root, skip)
    voc = [folder for folder, files in seen.xml_folders.items() if is_voc(files[:LOOKED_INTO])]
    if voc:
        coco = next((path for path in seen.json_files
                     if not OTHER_TASKS.search(json_stem(path).lower())
                     and readable_coco(path)), None)
        if coco is not None:
            raise DataError(f"{root}: both Pascal VOC xml ({voc[0]}) and COCO json ({coco})",
                            do="name the folder of the one to use")
        other_xml = [path for folder, files in seen.xml_folders.items() if folder not in voc
                     for path in files]
        folders = find_voc_folders(root, voc)
        lists = [path for path in seen.text_files if path.stem.lower() in WORDS
                 and not any(path in list_files(part.base) for part in folders.values())]
        return Layout("voc", xml_folders=folders,
                      not_read=seen.json_files + other_xml + lists, images=seen.images,
                      runs=seen.runs)
    parts = find_coco_files(root, seen.json_files)
    if parts:
        used = set(parts.values())
        return Layout("coco", parts, not_read=[path for path in seen.json_files
                                               if path not in used], images=seen.images,
                      runs=seen.runs)
    other = _other_format(seen)
    if other is not None:
        raise DataError(f"{root}: this is {other}, which is not read yet", expected=READS,
                        do="convert it to COCO json or Pascal VOC xml")
    for path in seen.json_files:
        read_coco(path, "all", path.parent)  # says what it is instead
        raise DataError(f"{path}: COCO json without boxes, or for another task")
    for files in seen.xml_folders.values():
        parse_voc(files[0])  # says what it is instead
    held = f"{seen.image_count} images" if seen.image_count else "neither images nor annotations"
    if seen.unknown:
        more = f" and {len(seen.unknown) - 1} more" if seen.unknown[1:] else ""
        held += f", and files of unknown formats, such as {seen.unknown[0]}{more}"
    raise DataError(f"{root}: no annotation file; the folder holds {held}", expected=READS)


def scan(root: Path, skip: Path | None = None) -> Seen:
    """List the files that tell a format, at most four folders deep, hidden ones left out.

    Raises:
        UnreadableFile: a folder may not be read, and might be a split.
    """
    seen = Seen()
    # Links may lead to a folder twice, or in circles.
    been = {root.resolve()} | ({skip.resolve()} if skip is not None else set())
    for folder, below, names in os.walk(root, onerror=stop_at, followlinks=True):
        here = Path(folder)
        depth = len(here.relative_to(root).parts)
        wanted = [name for name in sorted(below)
                  if depth < DEPTH and not name.startswith((".", "__MACOSX"))]
        below.clear()
        for name in wanted:
            real = (here / name).resolve()
            if real not in been:
                been.add(real)
                below.append(name)
        # What an earlier run wrote from this very data.
        if here != root and holds_ledger(here):
            seen.runs.append(here)
            continue
        for name in sorted(names):
            if name.startswith("."):
                continue
            suffix = os.path.splitext(name)[1].lower()
            if suffix in SUFFIXES:
                seen.images[here] += 1
            elif is_json(name):
                seen.json_files.append(here / name)
            elif suffix == ".xml":
                seen.xml_folders.setdefault(here, []).append(here / name)
            elif suffix == ".txt":
                seen.text_files.append(here / name)
            elif suffix in (".csv", ".tsv"):
                seen.tables.append(here / name)
            elif suffix in (".names", ".yaml", ".yml", ".tfrecord", ".tfrecords", ".record"):
                seen.others.append(here / name)
            else:
                seen.unknown.append(here / name)
    return seen


def _other_format(seen: Seen) -> str | None:
    for files in seen.xml_folders.values():
        try:
            root = xml_root(files[0])
        except UnreadableFile:
            raise
        except DataError:
            continue
        if root.tag == "annotations" and root.find("image") is not None:
            return f"CVAT xml ({files[0]})"
    for path in seen.text_files:
        if YOLO_LINE.match(first_line(path)):
            return f"YOLO text ({path})"
    for path in seen.others:
        if path.suffix in (".yaml", ".yml", ".names"):
            text = _beginning(path, 4096)
            if path.suffix == ".names" or re.search(rb"^(names|nc) *:", text, re.MULTILINE):
                return f"YOLO text ({path})"
        else:
            return f"TFRecord ({path})"
    for path in seen.tables:
        return f"a table ({path})"
    return None


def first_line(path: Path) -> str:
    """The beginning of a text file's first line, without blanks around it."""
    line = _beginning(path, 400).partition(b"\n")[0]
    return line.decode("utf-8-sig", "replace").strip()


def _beginning(path: Path, count: int) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(count)
    except OSError as error:
        raise unreadable(path, error) from error
