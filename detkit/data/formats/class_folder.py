"""Class folders: pictures whose class is the name of the folder that they lie in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from detkit.data.classification.image_label import ClassRecord, RawClassSplit
from detkit.data.formats.read_file import entries_of, is_folder, stop_at
from detkit.data.formats.run_folder import describe_runs, is_run
from detkit.data.images.read_image import SUFFIXES
from detkit.data.report.class_aliases import note_tidied
from detkit.data.report.ledger import Ledger
from detkit.errors import DataError

# What operating systems leave in folders.
LITTER = frozenset({"thumbs.db", "desktop.ini", "icon\r", "ehthumbs.db"})


def subfolders(folder: Path, skip: Path | None = None) -> list[str]:
    """Names of the folders in a folder, sorted; hidden ones, litter and runs' own left out.

    Args:
        skip: a resolved folder that is passed over: where runs are written.
    """
    return sorted(entry.name for entry in _folders_in(folder) if not is_run(entry.path)
                  and (skip is None or not _only_runs(Path(entry.path), skip)))


def runs_in(folder: Path) -> list[Path]:
    """The folders in a folder that earlier runs were written to, whose pictures are no data."""
    return sorted(Path(entry.path) for entry in _folders_in(folder) if is_run(entry.path))


def _folders_in(folder: Path) -> Iterator[os.DirEntry[str]]:
    for entry in entries_of(folder):
        if not entry.name.startswith((".", "__MACOSX")) and is_folder(entry):
            yield entry


def _only_runs(folder: Path, skip: Path) -> bool:
    """Whether a folder is where runs are written, or holds that and nothing to read."""
    real = folder.resolve()
    return real == skip or (skip.is_relative_to(real) and not subfolders(folder, skip)
                            and not holds_pictures(folder))


def files_below(folder: Path) -> Iterator[str]:
    """Paths from ``folder``, with '/', of the files in it and below; hidden ones left out.

    Folder by folder in the order of their paths, then by name, as torchvision's ImageFolder.
    Runs' own folders are passed over.
    Links are followed, but for those to where one has been or to a folder around ``folder``.

    Raises:
        UnreadableFile: a folder may not be read.
    """
    top = os.path.realpath(folder)
    been = {top}
    found = []
    for here, below, names in os.walk(folder, onerror=stop_at, followlinks=True):
        wanted = [name for name in sorted(below) if not name.startswith((".", "__MACOSX"))]
        below.clear()
        for name in wanted:
            path = os.path.join(here, name)
            # Only a link can lead back to where one has been, or up and into other classes.
            if os.path.islink(path):
                real = os.path.realpath(path)
                if real in been or top.startswith(os.path.join(real, "")):
                    continue
                been.add(real)
            if not is_run(path):
                below.append(name)
        found.append((here, sorted(names)))
    for here, names in sorted(found):
        start = os.path.relpath(here, folder).replace(os.sep, "/")
        for name in names:
            if not name.startswith(".") and name.lower() not in LITTER:
                yield name if start == "." else f"{start}/{name}"


def is_picture(name: str) -> bool:
    """Whether a file's name ends as those of pictures do."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def holds_pictures(folder: Path, below: bool = False) -> bool:
    """Whether a picture lies directly in a folder; or, with ``below``, anywhere below it."""
    if below:
        return any(is_picture(name) for name in files_below(folder))
    return any(is_picture(name) and not name.startswith(".")
               for name in os.listdir(folder) if os.path.isfile(folder / name))


def read_split_folders(
    parts: Mapping[str, Path], ledger: Ledger, skip: Path | None = None
) -> dict[str, RawClassSplit]:
    """List the pictures of all splits; val or test without class folders is left out and told.

    Raises:
        DataError: train, or the only split, has pictures and no class folder.
    """
    raws: dict[str, RawClassSplit] = {}
    for name, folder in parts.items():
        if not subfolders(folder, skip):
            number = sum(map(is_picture, files_below(folder)))
            if name == "train" or len(parts) == 1:
                raise DataError(f"{folder}: it holds {number} pictures and no class folder",
                                expected=f"{folder.name}/CLASS/*.jpg",
                                do="put the pictures of each class into a folder of its name")
            ledger.add("split_without_classes", f"its {number} images are in no class folder: "
                       "nothing can be measured on them", "left out", file=str(folder), split=name)
            continue
        raws[name] = read_class_folders(folder, name, ledger, skip)
    return raws


def read_class_folders(
    folder: Path, name: str, ledger: Ledger, skip: Path | None = None
) -> RawClassSplit:
    """List the pictures of one split; files that are none, or in no class, go to the ledger.

    Args:
        folder: holds a folder for each class.
        name: of the split.
        skip: a resolved folder that is passed over.
    """
    raw = RawClassSplit(name, folder, folder)
    place = {"file": str(folder), "split": name}
    for file in sorted(os.listdir(folder)):
        if is_picture(file) and not file.startswith(".") and os.path.isfile(folder / file):
            ledger.add("picture_without_class", "it lies beside the class folders, in none of "
                       "them", "left out", image=file, **place)
            raw.left_out += 1
    ledger.notes += describe_runs(runs_in(folder), folder)
    for class_folder in subfolders(folder, skip):
        label = note_tidied(class_folder, "the class folder", ledger, **place)
        raw.classes.append(label)
        for file in files_below(folder / class_folder):
            path = f"{class_folder}/{file}"
            if is_picture(file):
                raw.records.append(ClassRecord(path, label))
            else:
                ledger.add("not_a_picture", "its name is not that of a picture", "left out",
                           image=path, **place)
    return raw
