"""Which image files a list of files and folders means, and how their results are named."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from detkit.data.images import SUFFIXES
from detkit.errors import DataError


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """The image files that ``paths`` mean: files as they are, folders with all below them.

    In a folder those with an image's suffix count, in the order of their names, hidden ones left
    out; a file that is named itself counts whatever its suffix. A file met twice counts once.

    Raises:
        DataError: a path does not exist, or no image was found in any.
    """
    named = [Path(path) for path in paths]
    found: dict[Path, Path] = {}
    for path in named:
        if path.is_dir():
            inside = _images_below(path)
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


def _images_below(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror}") from error

    found = []
    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                found.append(Path(parent) / name)
    return found


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
