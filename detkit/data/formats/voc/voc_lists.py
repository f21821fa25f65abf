"""The lists of a Pascal VOC folder, ImageSets/Main/*.txt: which image is of which split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from detkit.data.formats.read_file import MOST_LIST, names_in, read_file
from detkit.data.formats.subfolders import Subfolders
from detkit.data.images.image_folder import fold
from detkit.data.report.ledger import Ledger
from detkit.errors import DataError

WORDS = {"train": "train", "training": "train", "val": "val", "valid": "val",
         "validation": "val", "test": "test", "testing": "test"}
# VOC's own lists of one class each, such as cat_trainval.txt.
OF_A_CLASS = re.compile(r".+_(train|val|trainval|test)", re.IGNORECASE)
SPLITS = ("train", "val", "test")


def read_split_lists(base: Path, ledger: Ledger | None = None) -> dict[str, list[str]]:
    """The lines of the list of each split; empty without lists that are called for one.

    Args:
        base: the folder of xml files, beside which ImageSets stands; names count in any case.
        ledger: takes a note of the lists that are not read, and of those that name no image.

    Raises:
        DataError: a list is not text, or two lists of one split differ.
    """
    files = list_files(base)
    lists: dict[str, list[str]] = {}
    read: dict[str, Path] = {}
    for path in files:
        name = WORDS.get(path.stem.lower())
        if name is None:
            continue
        lines = _lines(path)
        if name in lists and lists[name] != lines:
            raise DataError(f"two lists could be the {name} split: {read[name]} and {path}",
                            do="keep one of the two")
        lists[name], read[name] = lines, path
    whole = next((path for path in files if path.stem.lower() == "trainval"), None)
    if "train" not in lists and whole is not None:
        held_out = {line for lines in lists.values() for line in lines}
        lists["train"] = [line for line in _lines(whole) if line not in held_out]
        read["train"] = whole
    if ledger is not None:
        rest = [path.name for path in files if path not in read.values() and path != whole
                and not OF_A_CLASS.fullmatch(path.stem)]
        if rest:
            ledger.notes.append(f"lists in {files[0].parent} that are called for no split, and "
                                "are not read: " + ", ".join(rest))
        for name, lines in lists.items():
            if not lines:
                ledger.notes.append(f"the list {read[name]} names no image: it makes no {name} "
                                    "split")
    return {name: lists[name] for name in SPLITS if lists.get(name)}


class XmlNames:
    """Finds the xml file that a line of a list means.

    Args:
        files: xml files by their path from the folder of annotations, without the ending.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._folded: dict[str, list[str]] = {}
        self._by_last_part: dict[str, list[str]] = {}
        for name in files:
            self._folded.setdefault(fold(name), []).append(name)
            self._by_last_part.setdefault(fold(name.rpartition("/")[2]), []).append(name)

    def find(self, line: str) -> str | None:
        """The key in ``files`` that a line means; None when there is none, or more than one."""
        # Lists of one class have a second column, -1 or 1; names may hold blanks.
        for name in (line, line.split()[0]):
            name = name.replace("\\", "/")
            if name in self._files:
                return name
            for alike in (self._folded, self._by_last_part):
                if len(found := alike.get(fold(name), [])) == 1:
                    return found[0]
        return None


def list_files(base: Path) -> list[Path]:
    """The lists in the ImageSets beside a folder of xml files; none where there is no such."""
    folders = Subfolders()
    for image_sets in folders.named(base.parent, ["ImageSets"]):
        for folder in (*folders.named(image_sets, ["Main"]), image_sets):
            files = list(_texts(folder))
            if files:
                return files
    return []


def _texts(folder: Path) -> Iterator[Path]:
    for name in sorted(names_in(folder)):
        path = folder / name
        if path.suffix.lower() == ".txt" and not name.startswith(".") and not path.is_dir():
            yield path


def _lines(path: Path) -> list[str]:
    try:
        text = read_file(path, MOST_LIST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in UTF-8") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
