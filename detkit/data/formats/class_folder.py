"""Class folders: images whose class is the name of their folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from detkit.data.classification.image_label import ImageLabel, RawClassificationSplit
from detkit.data.formats.read_file import is_dir_entry, raise_walk_error, scan_entries
from detkit.data.formats.run_dirs import describe_run_dirs, is_run_dir
from detkit.data.images.read_image import IMG_EXTENSIONS
from detkit.data.report.class_aliases import note_normalized
from detkit.data.report.ledger import Ledger
from detkit.errors import DataError

# Files that operating systems create.
IGNORED_FILES = frozenset({"thumbs.db", "desktop.ini", "icon\r", "ehthumbs.db"})


def list_subfolders(folder: Path, exclude: Path | None = None) -> list[str]:
    """The sorted names of the subfolders, without hidden ones and output folders of runs.

    Args:
        folder: an existing folder.
        exclude: a resolved folder that is left out: the output folder of runs.
    """
    return sorted(entry.name for entry in _iter_folders(folder) if not is_run_dir(entry.path)
                  and (exclude is None or not _is_run_output(Path(entry.path), exclude)))


def find_run_dirs(folder: Path) -> list[Path]:
    """The subfolders that are output of earlier runs; their images are not data."""
    return sorted(Path(entry.path) for entry in _iter_folders(folder) if is_run_dir(entry.path))


def _iter_folders(folder: Path) -> Iterator[os.DirEntry[str]]:
    for entry in scan_entries(folder):
        if not entry.name.startswith((".", "__MACOSX")) and is_dir_entry(entry):
            yield entry


def _is_run_output(folder: Path, exclude: Path) -> bool:
    """Whether a folder is ``exclude``, or holds only that."""
    real_path = folder.resolve()
    return real_path == exclude or (exclude.is_relative_to(real_path)
                                    and not list_subfolders(folder, exclude)
                                    and not contains_images(folder))


def walk_files(folder: Path) -> Iterator[str]:
    """Paths relative to ``folder``, with '/', of the files at any depth, without hidden ones.

    The order is that of torchvision's ImageFolder: by folder, then by name. Output folders of
    runs are left out. Links are followed, except to a visited folder or a parent of ``folder``.

    Raises:
        UnreadableFileError: a folder cannot be read.
    """
    top = os.path.realpath(folder)
    visited = {top}
    listing = []
    for dirpath, dirnames, names in os.walk(folder, onerror=raise_walk_error, followlinks=True):
        subdirs = [name for name in sorted(dirnames) if not name.startswith((".", "__MACOSX"))]
        dirnames.clear()
        for name in subdirs:
            path = os.path.join(dirpath, name)
            # Only a link can lead to a visited folder, or to a parent and thus other classes.
            if os.path.islink(path):
                real_path = os.path.realpath(path)
                if real_path in visited or top.startswith(os.path.join(real_path, "")):
                    continue
                visited.add(real_path)
            if not is_run_dir(path):
                dirnames.append(name)
        listing.append((dirpath, sorted(names)))
    for dirpath, names in sorted(listing):
        prefix = os.path.relpath(dirpath, folder).replace(os.sep, "/")
        for name in names:
            if not name.startswith(".") and name.lower() not in IGNORED_FILES:
                yield name if prefix == "." else f"{prefix}/{name}"


def is_image_file(name: str) -> bool:
    """Whether a file name has the suffix of an image format."""
    return os.path.splitext(name)[1].lower() in IMG_EXTENSIONS


def contains_images(folder: Path, recursive: bool = False) -> bool:
    """Whether a folder holds an image directly; or, with ``recursive``, at any depth."""
    if recursive:
        return any(is_image_file(name) for name in walk_files(folder))
    return any(is_image_file(name) and not name.startswith(".")
               for name in os.listdir(folder) if os.path.isfile(folder / name))


def read_split_folders(
    split_folders: Mapping[str, Path], ledger: Ledger, exclude: Path | None = None
) -> dict[str, RawClassificationSplit]:
    """List the images of all splits; val or test without class folders is left out and reported.

    Raises:
        DataError: train, or the only split, has no class folder.
    """
    raw_splits: dict[str, RawClassificationSplit] = {}
    for name, folder in split_folders.items():
        if not list_subfolders(folder, exclude):
            num_images = sum(map(is_image_file, walk_files(folder)))
            if name == "train" or len(split_folders) == 1:
                raise DataError(f"{folder}: it holds {num_images} images and no class folder",
                                expected=f"{folder.name}/CLASS/*.jpg",
                                hint="move the images of each class into a folder of its name")
            ledger.add("split_without_classes", f"its {num_images} images are in no class folder: "
                       "they have no labels", "left out", file=str(folder), split=name)
            continue
        raw_splits[name] = read_class_folders(folder, name, ledger, exclude)
    return raw_splits


def read_class_folders(
    folder: Path, name: str, ledger: Ledger, exclude: Path | None = None
) -> RawClassificationSplit:
    """List the images of one split; other files, and images without a class, are reported.

    Args:
        folder: holds a folder for each class.
        name: of the split.
        ledger: receives the issues.
        exclude: a resolved folder that is left out.
    """
    raw = RawClassificationSplit(name, folder, folder)
    location = {"file": str(folder), "split": name}
    for file in sorted(os.listdir(folder)):
        if is_image_file(file) and not file.startswith(".") and os.path.isfile(folder / file):
            ledger.add("picture_without_class", "it is beside the class folders, not in one",
                       "left out", image=file, **location)
            raw.left_out += 1
    ledger.notes += describe_run_dirs(find_run_dirs(folder), folder)
    for class_folder in list_subfolders(folder, exclude):
        label = note_normalized(class_folder, "the class folder", ledger, **location)
        raw.classes.append(label)
        for file in walk_files(folder / class_folder):
            path = f"{class_folder}/{file}"
            if is_image_file(file):
                raw.records.append(ImageLabel(path, label))
            else:
                ledger.add("not_a_picture", "its suffix is not that of an image format", "left out",
                           image=path, **location)
    return raw
