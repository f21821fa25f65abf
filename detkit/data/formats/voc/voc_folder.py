"""Pascal VOC folders: which xml is of which split, and where its images are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from detkit.data.detection.annotations import RawSplit
from detkit.data.formats.read_file import UnreadableFile, names_in
from detkit.data.formats.subfolders import Subfolders
from detkit.data.formats.voc.voc_file import parse_voc, read_voc
from detkit.data.formats.voc.voc_layout import XmlFolders
from detkit.data.formats.voc.voc_lists import XmlNames, read_split_lists
from detkit.data.images.image_folder import ImageFolder, choose_folder, fold
from detkit.data.images.image_names import last_part
from detkit.data.images.read_image import SUFFIXES
from detkit.data.report.ledger import Ledger, SplitCount
from detkit.errors import DataError

IMAGE_FOLDERS = ("JPEGImages", "images", "imgs", "img")


def read_voc_folder(
    root: Path, folders: Mapping[str, XmlFolders], ledger: Ledger
) -> dict[str, tuple[RawSplit, ImageFolder]]:
    """Read the splits of a VOC folder: by its lists in ImageSets/Main where there are such.

    Raises:
        DataError: an xml is broken, a list names no xml, or images are not found.
    """
    if set(folders) != {"all"}:
        return {name: _read(root, name, part, part.files(), ledger)
                for name, part in folders.items()}
    whole = folders["all"]
    files = whole.files()
    lists = read_split_lists(whole.base, ledger)
    if not lists:
        return {"all": _read(root, "all", whole, files, ledger)}
    names = XmlNames(files)
    listed = {name: _listed(name, lines, names, whole.base, ledger)
              for name, lines in lists.items()}
    used = {stem for stems in listed.values() for stem in stems}
    for stem, path in files.items():
        if stem not in used:
            ledger.add("not_in_any_list", "no list in ImageSets/Main names it", "left out",
                       file=str(path))
    return {name: _read(root, name, whole, {stem: files[stem] for stem in stems}, ledger)
            for name, stems in listed.items()}


def _listed(
    name: str, lines: Sequence[str], names: XmlNames, base: Path, ledger: Ledger
) -> list[str]:
    """The xml files that a list names, by their path from ``base`` without the ending."""
    stems: dict[str, None] = {}
    for line in lines:
        stem = names.find(line)
        if stem is None:
            ledger.add("missing_annotation", f"the {name} list names it, but there is no "
                       f"{base / line}.xml", "left out", file=line, split=name)
            ledger.splits.setdefault(name, SplitCount()).images_left_out += 1
        elif stem in stems:
            ledger.add("listed_twice", f"the {name} list names it twice", "merged",
                       file=stem, split=name)
        else:
            stems[stem] = None
    if not stems:
        raise DataError(f"{base}: none of the {len(lines)} images of the {name} list has an xml")
    return list(stems)


def _read(
    root: Path, name: str, part: XmlFolders, files: Mapping[str, Path], ledger: Ledger
) -> tuple[RawSplit, ImageFolder]:
    stems = list(files)
    parents = {stem.rpartition("/")[0] for stem in stems}
    tiers = _tiers(root, part.base)
    if len(parents) == 1:
        # The images of one folder of xml files lie in one folder too, and need no other name.
        tiers = _inside(tiers, name, *parents)
        stems = [stem.rpartition("/")[2] for stem in stems]
    names = _image_names(stems, tiers)
    raw = read_voc(list(zip(files.values(), names)), name, part.folders[0]
                   if len(part.folders) == 1 else part.base, ledger)
    if not raw.images:
        first = next(iter(files.values()))
        raise DataError(f"{first}: no Pascal VOC annotation, nor any other of the {name} split")
    if len(parents) > 1:
        _keep_folders(raw, {str(path): stem.rpartition("/")[0] for (stem, path), image
                            in zip(files.items(), names) if image is None})
    chosen = choose_folder([record["file_name"] for record in raw.images], tiers,
                           str(raw.source))
    raw.image_dir = chosen.folder
    for record in raw.images:
        named, taken = record.pop("named"), record["file_name"]
        if fold(Path(named).stem) != fold(Path(taken).stem) and chosen.find(named) is not None:
            ledger.add("two_images_named", f"the xml names '{named}', which is there too; the "
                       f"image with the xml's own name is taken, '{taken}'", "kept",
                       file=record["source_file"], image=taken, split=name)
    return raw, chosen


def _keep_folders(raw: RawSplit, parents: Mapping[str, str]) -> None:
    """Put the folder of its xml before a bare name that another xml's image has too.

    Args:
        raw: image records are changed in place.
        parents: by xml file, of those whose own words name the image.
    """
    last_parts = Counter(fold(last_part(record["file_name"])) for record in raw.images)
    for record in raw.images:
        name, parent = record["file_name"], parents.get(record["source_file"])
        if parent and last_part(name) == name and last_parts[fold(name)] > 1:
            record["file_name"] = f"{parent}/{name}"


def _tiers(root: Path, base: Path) -> list[list[Path]]:
    """Folders that the images may be in, the likelier first; names count in any case."""
    folders = Subfolders()
    return [folders.named(base.parent, IMAGE_FOLDERS), [base], [base.parent, root],
            folders.named(root, IMAGE_FOLDERS)]


def _inside(tiers: Sequence[list[Path]], name: str, parent: str) -> list[list[Path]]:
    """Before each tier the folders in it that are called as those of the xml files are."""
    if not parent:
        return list(tiers)
    folders = Subfolders()
    widened = []
    for tier in tiers:
        inner = tier
        for step in parent.split("/"):
            inner = [below for folder in inner for below in folders.named(folder, [step])]
        of_split = [below for folder in tier for below in folders.of_split(folder, name)]
        widened += [inner, tier, of_split]
    return widened


def _image_names(stems: Sequence[str], tiers: Sequence[Sequence[Path]]) -> list[str | None]:
    """The image that shares each xml's name; where there is none, the name inside it counts.

    Args:
        stems: paths without the ending, as far as images lie in sub-folders of the same names.
    """
    wanted = {fold(stem) for stem in stems}
    last_parts = {fold(stem.rpartition("/")[2]) for stem in stems}
    parents = {stem.rpartition("/")[0]: None for stem in stems}
    in_one_folder = len(last_parts) == len(stems)
    if in_one_folder:  # the images may lie in one folder, without being mixed up
        parents[""] = None
        wanted |= last_parts
    by_stem: dict[str, str] = {}
    for folder in [folder for tier in tiers for folder in tier if folder.is_dir()]:
        for parent in parents:
            by_stem.update(_images_in(folder, parent, wanted, by_stem))
    return [by_stem.get(fold(stem))
            or (by_stem.get(fold(stem.rpartition("/")[2])) if in_one_folder else None)
            for stem in stems]


def _images_in(
    folder: Path, parent: str, wanted: set[str], found: Mapping[str, str]
) -> dict[str, str]:
    """Those wanted and not found yet, by their folded path from ``folder`` without the ending."""
    here: dict[str, str] = {}
    for file_name in names_in(folder / parent):
        path = f"{parent}/{file_name}" if parent else file_name
        name, suffix = os.path.splitext(path)
        stem = fold(name)
        if suffix.lower() not in SUFFIXES or stem not in wanted or stem in found:
            continue
        if here.setdefault(stem, path) != path:
            raise DataError(f"two images have the same name: {folder / here[stem]} and "
                            f"{folder / path}", do="keep one of the two")
    return here


def is_voc(paths: Sequence[Path]) -> bool:
    """Whether any of some xml files is a VOC annotation.

    Raises:
        UnreadableFile: one cannot be read, and may well be one.
    """
    for path in paths:
        try:
            parse_voc(path)
        except UnreadableFile:
            raise
        except DataError:
            continue
        return True
    return False
