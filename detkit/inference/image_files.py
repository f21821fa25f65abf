"""Which image files a list of files and folders means, and how their results are named."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from detkit.data.images.image_formats import is_image_like
from detkit.data.images.read_image import SUFFIXES
from detkit.errors import DataError
from detkit.files import special_file


def find_images(
    paths: Iterable[str | Path], on_other: Callable[[Path], None] = lambda file: None
) -> list[Path]:
    """The image files that ``paths`` mean: files as they are, folders with all below them.

    In a folder those count that are images by their suffix or their first bytes, whether they
    can be read or not, in the order of their names, hidden ones left out; a file that is named
    itself counts whatever it is. A file met twice counts once.

    Args:
        paths: files and folders.
        on_other: called with each file of a folder that is no image.

    Raises:
        DataError: a path does not exist, or no image was found in any.
    """
    named = [Path(path) for path in paths]
    found: dict[Path, Path] = {}
    for path in named:
        if path.is_dir():
            inside = _images_below(path, on_other)
        elif path.exists():
            inside = [path]
        else:
            raise DataError(f"{path}: no such file or folder")
        for file in inside:
            found.setdefault(file.resolve(), file)
    if not found:
        raise DataError(
            "no image found",
            got=", ".join(str(path) for path in named) or "no path",
            expected=f"files, or folders with files ending in {', '.join(sorted(SUFFIXES))}",
        )
    return list(found.values())


def _images_below(folder: Path, on_other: Callable[[Path], None]) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror}") from error

    found = []
    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(parent) / name
            if name.startswith("."):
                continue
            # A pipe or a broken link with an image's name is told when it is to be read.
            if file.suffix.lower() in SUFFIXES or not special_file(file) and is_image_like(file):
                found.append(file)
            else:
                on_other(file)
    return found


def describe_others(files: Iterable[Path]) -> str:
    """Files that are no images as a list for a message: '12 .txt, 2 .json, 1 without an ending'."""
    counts = Counter(file.suffix.lower() for file in files)
    return ", ".join(f"{count} {suffix or 'without an ending'}"
                     for suffix, count in counts.most_common())


class PictureNames:
    """Hands out '<stem>.jpg', and '<stem>_2.jpg', ... where the name is taken.

    Names that differ only in case count as the same, since some file systems say so.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name_for(self, file: Path) -> str:
        """A file name that was not handed out before."""
        name, number = f"{file.stem}.jpg", 1
        while name.lower() in self._taken:
            number += 1
            name = f"{file.stem}_{number}.jpg"
        self._taken.add(name.lower())
        return name
