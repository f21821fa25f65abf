"""The folders of Pascal VOC xml files of each split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detkit.data.detection.annotations import split_from_name
from detkit.data.formats.read_file import list_dir_names
from detkit.data.formats.voc.voc_lists import read_split_lists
from detkit.data.images.image_folder import casefold_name
from detkit.errors import DataError

ANNOTATION_FOLDERS = ("annotations", "annotation", "xml", "xmls", "labels")


@dataclass(frozen=True)
class XmlFolders:
    """The folders that hold the xml files of one split, or of all splits.

    Args:
        base: the parent folder that is named for annotations, such as Annotations; without one
            the single folder itself. Names in lists are relative to it, and image folders have
            the same subfolders.
        folders: at least one, each ``base`` or below it.
    """

    base: Path
    folders: tuple[Path, ...]

    def files(self) -> dict[str, Path]:
        """The xml files by their path from ``base``, with '/' and without the suffix, sorted.

        Raises:
            DataError: two file names differ only in the case of the suffix.
        """
        xml_paths: dict[str, Path] = {}
        for folder in self.folders:
            start = folder.relative_to(self.base).as_posix()
            for name in list_dir_names(folder):
                stem, suffix = os.path.splitext(name)
                if suffix.lower() != ".xml" or name.startswith("."):
                    continue
                key = stem if start == "." else f"{start}/{stem}"
                if xml_paths.setdefault(key, folder / name) != folder / name:
                    raise DataError(f"two xml files have the same name: {xml_paths[key]} and "
                                    f"{folder / name}", hint="keep one of the two")
        return dict(sorted(xml_paths.items()))


def find_voc_folders(root: Path, folders: Sequence[Path]) -> dict[str, XmlFolders]:
    """The folders of xml files by split; 'all' for data without splits.

    Several folders of one split are accepted where they lie in one folder of annotations.

    Raises:
        DataError: two folders could be the same split.
    """
    by_split: dict[str, list[Path]] = {}
    for folder in folders:
        words = (split_from_name(parent.name) for parent in _self_and_parents(root, folder)[:-1])
        by_split.setdefault(next(filter(None, words), "all"), []).append(folder)
    bases = {_annotation_root(root, folder) for folder in folders}
    if "all" in by_split and len(by_split) > 1:
        (base, *others) = bases
        if base is None or others or not read_split_lists(base):
            split_folder = next(group[0] for name, group in by_split.items() if name != "all")
            raise _ambiguous_folders_error(by_split["all"][0], split_folder)
        by_split = {"all": list(folders)}  # lists define the splits, not names of subfolders
    chosen = {}
    for name, group in by_split.items():
        bases = {_annotation_root(root, folder) for folder in group}
        if len(group) > 1 and (None in bases or len(bases) > 1):
            raise _ambiguous_folders_error(*group[:2])
        chosen[name] = XmlFolders(bases.pop() or group[0], tuple(group))
    return chosen


def _annotation_root(root: Path, folder: Path) -> Path | None:
    """The nearest parent of ``folder``, or itself, that is named for annotations."""
    return next((parent for parent in _self_and_parents(root, folder)
                 if casefold_name(parent.name) in ANNOTATION_FOLDERS), None)


def _self_and_parents(root: Path, folder: Path) -> list[Path]:
    """``folder`` and its parents, up to ``root``."""
    return [parent for parent in (folder, *folder.parents)
            if parent == root or root in parent.parents]


def _ambiguous_folders_error(first: Path, second: Path) -> DataError:
    return DataError(f"two folders of Pascal VOC files: {first} and {second}",
                     hint="use one of the two folders")
