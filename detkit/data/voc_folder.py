"""Pascal VOC folders: which xml is of which split, and where its images are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from detkit.data.image_folder import ImageFolder, choose_folder, fold
from detkit.data.images import SUFFIXES
from detkit.data.ledger import Ledger, SplitCount
from detkit.data.raw import RawSplit, split_word
from detkit.data.voc_file import parse_voc, read_voc
from detkit.errors import DataError

IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "imgs", "img")
LISTS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}


def find_voc_folders(root: Path, folders: Sequence[Path]) -> dict[str, Path]:
    """The folder of xml files of each split, or the one folder of all ('all').

    Raises:
        DataError: two folders could be the same split.
    """
    chosen: dict[str, Path] = {}
    for folder in folders:
        word = None
        for part in [folder, *folder.parents]:
            if part == root or root not in part.parents:
                break
            word = word or split_word(part.name)
        name = word or "all"
        if name in chosen:
            raise DataError(f"two folders of Pascal VOC files: {chosen[name]} and {folder}",
                            do="name the one to use")
        chosen[name] = folder
    if "all" in chosen and len(chosen) > 1:
        other = next(folder for name, folder in chosen.items() if name != "all")
        raise DataError(f"two folders of Pascal VOC files: {chosen['all']} and {other}",
                        do="name the one to use")
    return chosen


def read_voc_folder(
    root: Path, folders: Mapping[str, Path], ledger: Ledger
) -> dict[str, tuple[RawSplit, ImageFolder]]:
    """Read the splits of a VOC folder: by its lists in ImageSets/Main where there are such.

    Raises:
        DataError: an xml is broken, a list is empty or names no xml, or images are not found.
    """
    if set(folders) != {"all"}:
        return {name: _read(root, name, folder, _stems(folder), ledger)
                for name, folder in folders.items()}
    folder = folders["all"]
    lists = _split_lists(folder.parent / "ImageSets" / "Main")
    if not lists:
        return {"all": _read(root, "all", folder, _stems(folder), ledger)}
    listed = {word for stems in lists.values() for stem in stems
              for word in (stem, stem.split()[0])}
    for stem in _stems(folder):
        if stem not in listed:
            ledger.add("not_in_any_list", "no list in ImageSets/Main names it", "left out",
                       file=str(folder / f"{stem}.xml"))
    return {name: _read(root, name, folder, stems, ledger) for name, stems in lists.items()}


def _stems(folder: Path) -> list[str]:
    return sorted(name[:-4] for name in os.listdir(folder)
                  if name.lower().endswith(".xml") and not name.startswith("."))


def _split_lists(folder: Path) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for name, stems in LISTS.items():
        for path in (folder / f"{stem}.txt" for stem in stems):
            if path.is_file():
                lists[name] = _lines(path)
    if "train" not in lists and (folder / "trainval.txt").is_file():
        held_out = {stem for stems in lists.values() for stem in stems}
        lists["train"] = [stem for stem in _lines(folder / "trainval.txt") if stem not in held_out]
    return {name: lists[name] for name in LISTS if lists.get(name)}


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in UTF-8") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _read(
    root: Path, name: str, folder: Path, stems: Sequence[str], ledger: Ledger
) -> tuple[RawSplit, ImageFolder]:
    files: list[Path] = []
    listed_at: set[str] = set()
    for stem in stems:
        # Lists of one class have a second column, -1 or 1; names may hold blanks.
        for candidate in (stem, stem.split()[0]):
            if os.path.isfile(folder / f"{candidate}.xml"):
                break
        else:
            ledger.add("missing_annotation", f"the {name} list names it, but there is no "
                       f"{folder / stem}.xml", "left out", file=stem, split=name)
            ledger.splits.setdefault(name, SplitCount()).images_left_out += 1
            continue
        if candidate in listed_at:
            ledger.add("listed_twice", f"the {name} list names it twice", "merged",
                       file=candidate, split=name)
            continue
        listed_at.add(candidate)
        files.append(folder / f"{candidate}.xml")
    if not files:
        raise DataError(f"{folder}: none of the {len(stems)} images of the {name} list has an xml")
    parent = folder.parent
    tiers = [[parent / sub for sub in IMAGE_FOLDERS], [folder], [parent, root],
             [root / sub for sub in IMAGE_FOLDERS]]
    names = _image_names(files, tiers)
    raw = read_voc(list(zip(files, names)), name, folder, ledger)
    if not raw.images:
        raise DataError(f"{files[0]}: no Pascal VOC annotation, nor any other of the {name} split")
    chosen = choose_folder([record["file_name"] for record in raw.images], tiers, str(folder))
    raw.image_dir = chosen.folder
    for record in raw.images:
        named, taken = record.pop("named"), record["file_name"]
        if fold(Path(named).stem) != fold(Path(taken).stem) and chosen.find(named) is not None:
            ledger.add("two_images_named", f"the xml names '{named}', which is there too; the "
                       f"image with the xml's own name is taken, '{taken}'", "kept",
                       file=record["source_file"], image=taken, split=name)
    return raw, chosen


def _image_names(files: Sequence[Path], tiers: Sequence[Sequence[Path]]) -> list[str | None]:
    """The image that shares each xml's name; where there is none, the name inside it counts."""
    wanted = {fold(path.stem) for path in files}
    by_stem: dict[str, str] = {}
    for folder in [folder for tier in tiers for folder in tier if folder.is_dir()]:
        here: dict[str, str] = {}
        for file_name in os.listdir(folder):
            stem, suffix = os.path.splitext(file_name)
            if suffix.lower() not in SUFFIXES or fold(stem) not in wanted:
                continue
            if here.setdefault(fold(stem), file_name) != file_name:
                raise DataError(f"two images have the same name: {folder / here[fold(stem)]} and "
                                f"{folder / file_name}", do="keep one of the two")
        for stem, file_name in here.items():
            by_stem.setdefault(stem, file_name)
    return [by_stem.get(fold(path.stem)) for path in files]


def is_voc(paths: Sequence[Path]) -> bool:
    """Whether any of some xml files is a VOC annotation."""
    for path in paths:
        try:
            parse_voc(path)
        except DataError:
            continue
        return True
    return False
