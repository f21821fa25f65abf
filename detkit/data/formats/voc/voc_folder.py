"""Pascal VOC folders: the xml files and the image folder of each split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from detkit.data.detection.annotations import RawSplit
from detkit.data.formats.read_file import UnreadableFileError, list_dir_names
from detkit.data.formats.subfolders import Subfolders
from detkit.data.formats.voc.voc_file import parse_voc, read_voc
from detkit.data.formats.voc.voc_layout import XmlFolders
from detkit.data.formats.voc.voc_lists import XmlNameIndex, read_split_lists
from detkit.data.images.image_folder import ImageFolder, casefold_name, choose_folder
from detkit.data.images.image_names import basename
from detkit.data.images.read_image import IMG_EXTENSIONS
from detkit.data.report.ledger import Ledger, SplitCount
from detkit.errors import DataError

IMAGE_FOLDERS = ("JPEGImages", "images", "imgs", "img")


def read_voc_folder(
    root: Path, folders: Mapping[str, XmlFolders], ledger: Ledger
) -> dict[str, tuple[RawSplit, ImageFolder]]:
    """Read the splits of a VOC folder: those of the lists in ImageSets/Main, if there are any.

    Raises:
        DataError: no xml of a split is valid, a list names no xml, or images are not found.
    """
    if set(folders) != {"all"}:
        return {name: _read_split(root, name, xml_folders, xml_folders.files(), ledger)
                for name, xml_folders in folders.items()}
    all_folders = folders["all"]
    files = all_folders.files()
    lists = read_split_lists(all_folders.base, ledger)
    if not lists:
        return {"all": _read_split(root, "all", all_folders, files, ledger)}
    names = XmlNameIndex(files)
    listed = {name: _resolve_list(name, lines, names, all_folders.base, ledger)
              for name, lines in lists.items()}
    listed_stems = {stem for stems in listed.values() for stem in stems}
    for stem, path in files.items():
        if stem not in listed_stems:
            ledger.add("not_in_any_list", "it is in no list of ImageSets/Main", "left out",
                       file=str(path))
    return {
        name: _read_split(root, name, all_folders, {stem: files[stem]
                                                    for stem in stems}, ledger)
        for name, stems in listed.items()
    }


def _resolve_list(
    name: str, lines: Sequence[str], names: XmlNameIndex, base: Path, ledger: Ledger
) -> list[str]:
    """The xml files that a list names, relative to ``base`` and without the suffix."""
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


def _read_split(
    root: Path, name: str, xml_folders: XmlFolders, files: Mapping[str, Path], ledger: Ledger
) -> tuple[RawSplit, ImageFolder]:
    stems = list(files)
    parents = {stem.rpartition("/")[0] for stem in stems}
    candidates = _image_dir_candidates(root, xml_folders.base)
    if len(parents) == 1:
        # The images of one folder of xml files lie in one folder too, and need no other name.
        candidates = _insert_subfolders(candidates, name, *parents)
        stems = [stem.rpartition("/")[2] for stem in stems]
    names = _image_names(stems, candidates)
    raw = read_voc(list(zip(files.values(), names)), name, xml_folders.folders[0]
                   if len(xml_folders.folders) == 1 else xml_folders.base, ledger)
    if not raw.images:
        first = next(iter(files.values()))
        raise DataError(f"{first}: not a Pascal VOC annotation, nor any other file of the {name} "
                        "split")
    if len(parents) > 1:
        _prefix_ambiguous_names(
            raw, {
                str(path): stem.rpartition("/")[0]
                for (stem, path), image in zip(files.items(), names)
                if image is None
            })
    chosen = choose_folder([record["file_name"] for record in raw.images], candidates,
                           str(raw.source))
    raw.image_dir = chosen.folder
    for record in raw.images:
        xml_name, file_name = record.pop("xml_filename"), record["file_name"]
        if casefold_name(Path(xml_name).stem) != casefold_name(
                Path(file_name).stem) and chosen.find(xml_name) is not None:
            ledger.add("two_images_named", f"the xml states '{xml_name}', which exists, too; the "
                       f"image with the same name as the xml is used, '{file_name}'", "kept",
                       file=record["source_file"], image=file_name, split=name)
    return raw, chosen


def _prefix_ambiguous_names(raw: RawSplit, parents: Mapping[str, str]) -> None:
    """Add the folder of its xml to a file name that another xml states, too.

    Args:
        raw: image records are changed in place.
        parents: folder by xml file, for the xml files whose content states the file name.
    """
    basenames = Counter(casefold_name(basename(record["file_name"])) for record in raw.images)
    for record in raw.images:
        name, parent = record["file_name"], parents.get(record["source_file"])
        if parent and basename(name) == name and basenames[casefold_name(name)] > 1:
            record["file_name"] = f"{parent}/{name}"


def _image_dir_candidates(root: Path, base: Path) -> list[list[Path]]:
    """Folders that may hold the images, the more likely ones first; case is ignored."""
    folders = Subfolders()
    return [folders.find(base.parent, IMAGE_FOLDERS), [base], [base.parent, root],
            folders.find(root, IMAGE_FOLDERS)]


def _insert_subfolders(candidates: Sequence[list[Path]], name: str,
                       parent: str) -> list[list[Path]]:
    """Add, before each group of folders, their subfolders of the same name as the xml folder."""
    if not parent:
        return list(candidates)
    folders = Subfolders()
    widened = []
    for group in candidates:
        subfolders = group
        for component in parent.split("/"):
            subfolders = [
                subfolder for folder in subfolders
                for subfolder in folders.find(folder, [component])
            ]
        split_dirs = [
            subfolder for folder in group for subfolder in folders.find_for_split(folder, name)
        ]
        widened += [subfolders, group, split_dirs]
    return widened


def _image_names(stems: Sequence[str], candidates: Sequence[Sequence[Path]]) -> list[str | None]:
    """The image with the same name as each xml; None where the name in the xml is used instead.

    Args:
        stems: relative paths of the xml files without the suffix.
        candidates: folders that may hold the images.
    """
    target_stems = {casefold_name(stem) for stem in stems}
    basenames = {casefold_name(stem.rpartition("/")[2]) for stem in stems}
    parents = {stem.rpartition("/")[0]: None for stem in stems}
    in_one_folder = len(basenames) == len(stems)
    if in_one_folder:  # names are unique without their folders: the images may be in one folder
        parents[""] = None
        target_stems |= basenames
    by_stem: dict[str, str] = {}
    for folder in [folder for group in candidates for folder in group if folder.is_dir()]:
        for parent in parents:
            by_stem.update(_find_images(folder, parent, target_stems, by_stem))
    return [by_stem.get(casefold_name(stem))
            or (by_stem.get(casefold_name(stem.rpartition("/")[2])) if in_one_folder else None)
            for stem in stems]


def _find_images(
    folder: Path, parent: str, target_stems: set[str], known: Mapping[str, str]
) -> dict[str, str]:
    """The images of ``target_stems`` that are not in ``known``, by casefolded path from ``folder``
    without the suffix."""
    matches: dict[str, str] = {}
    for file_name in list_dir_names(folder / parent):
        path = f"{parent}/{file_name}" if parent else file_name
        name, suffix = os.path.splitext(path)
        stem = casefold_name(name)
        if suffix.lower() not in IMG_EXTENSIONS or stem not in target_stems or stem in known:
            continue
        if matches.setdefault(stem, path) != path:
            raise DataError(f"two images have the same name: {folder / matches[stem]} and "
                            f"{folder / path}", hint="keep one of the two")
    return matches


def is_voc(paths: Sequence[Path]) -> bool:
    """Whether any of the xml files is a VOC annotation.

    Raises:
        UnreadableFileError: a file cannot be read; it could be one.
    """
    for path in paths:
        try:
            parse_voc(path)
        except UnreadableFileError:
            raise
        except DataError:
            continue
        return True
    return False
