"""The lists of a Pascal VOC folder, ImageSets/Main/*.txt: the images of each split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from detkit.data.detection.annotations import SPLITS
from detkit.data.formats.read_file import MAX_LIST_BYTES, list_dir_names, read_file
from detkit.data.formats.subfolders import Subfolders
from detkit.data.images.image_folder import casefold_name
from detkit.data.report.ledger import Ledger
from detkit.errors import DataError

SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test"
}
# The lists of single classes in VOC, such as cat_trainval.txt.
CLASS_LIST_PATTERN = re.compile(r".+_(train|val|trainval|test)", re.IGNORECASE)


def read_split_lists(base: Path, ledger: Ledger | None = None) -> dict[str, list[str]]:
    """The lines of the list of each split; empty without lists that are named for a split.

    Args:
        base: the folder of xml files, beside ImageSets; case is ignored.
        ledger: receives notes on lists that are not read, and on empty lists.

    Raises:
        DataError: a list is not text, or two lists of one split differ.
    """
    files = find_split_lists(base)
    lists: dict[str, list[str]] = {}
    list_paths: dict[str, Path] = {}
    for path in files:
        name = SPLIT_WORDS.get(path.stem.lower())
        if name is None:
            continue
        lines = _read_lines(path)
        if name in lists and lists[name] != lines:
            raise DataError(f"two lists could be the {name} split: {list_paths[name]} and {path}",
                            hint="keep one of the two")
        lists[name], list_paths[name] = lines, path
    trainval = next((path for path in files if path.stem.lower() == "trainval"), None)
    if "train" not in lists and trainval is not None:
        held_out_lines = {line for lines in lists.values() for line in lines}
        lists["train"] = [line for line in _read_lines(trainval) if line not in held_out_lines]
        list_paths["train"] = trainval
    if ledger is not None:
        unused = [
            path.name for path in files if path not in list_paths.values() and path != trainval
            and not CLASS_LIST_PATTERN.fullmatch(path.stem)
        ]
        if unused:
            ledger.notes.append(f"lists in {files[0].parent} that are named for no split, and "
                                "are not read: " + ", ".join(unused))
        for name, lines in lists.items():
            if not lines:
                ledger.notes.append(f"the list {list_paths[name]} is empty: there is no {name} "
                                    "split")
    return {name: lists[name] for name in SPLITS if lists.get(name)}


class XmlNameIndex:
    """Finds the xml file of a line in a list.

    Args:
        files: xml files by their path relative to the annotation folder, without the suffix.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._folded: dict[str, list[str]] = {}
        self._by_basename: dict[str, list[str]] = {}
        for name in files:
            self._folded.setdefault(casefold_name(name), []).append(name)
            self._by_basename.setdefault(casefold_name(name.rpartition("/")[2]), []).append(name)

    def find(self, line: str) -> str | None:
        """The key in ``files`` of a line; None when there is none, or more than one."""
        # Lists of single classes have a second column, -1 or 1; file names may contain spaces.
        for name in (line, line.split()[0]):
            name = name.replace("\\", "/")
            if name in self._files:
                return name
            for index in (self._folded, self._by_basename):
                if len(matches := index.get(casefold_name(name), [])) == 1:
                    return matches[0]
        return None


def find_split_lists(base: Path) -> list[Path]:
    """The lists of the folder ImageSets beside a folder of xml files; empty without it."""
    folders = Subfolders()
    for image_sets in folders.find(base.parent, ["ImageSets"]):
        for folder in (*folders.find(image_sets, ["Main"]), image_sets):
            files = list(_text_files(folder))
            if files:
                return files
    return []


def _text_files(folder: Path) -> Iterator[Path]:
    for name in sorted(list_dir_names(folder)):
        path = folder / name
        if path.suffix.lower() == ".txt" and not name.startswith(".") and not path.is_dir():
            yield path


def _read_lines(path: Path) -> list[str]:
    try:
        text = read_file(path, MAX_LIST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in UTF-8") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
