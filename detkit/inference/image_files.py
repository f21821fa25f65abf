"""Which image files a list of files and folders means, and how their results are named."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from detkit.data.images.image_formats import is_image_like
from detkit.data.images.read_image import IMG_EXTENSIONS
from detkit.errors import DataError
from detkit.files import special_file_type


def find_images(
    paths: Iterable[str | Path], on_skipped: Callable[[Path], None] = lambda file: None
) -> list[Path]:
    """The image files that ``paths`` mean: files as they are, folders with all below them.

    In a folder those count that are images by their suffix or their first bytes, whether they
    can be read or not, in the order of their names, hidden ones left out; a file that is named
    itself counts whatever it is. A file met twice counts once.

    Args:
        paths: files and folders.
        on_skipped: called with each file of a folder that is no image.

    Raises:
        DataError: a path does not exist, or no image was found in any.
    """
    input_paths = [Path(path) for path in paths]
    images: dict[Path, Path] = {}
    for path in input_paths:
        if path.is_dir():
            candidates = _images_below(path, on_skipped)
        elif path.exists():
            candidates = [path]
        else:
            raise DataError(f"{path}: no such file or folder")
        for file in candidates:
            images.setdefault(file.resolve(), file)
    if not images:
        raise DataError(
            "no image found",
            got=", ".join(str(path) for path in input_paths) or "no path",
            expected=f"files, or folders with files ending in {', '.join(sorted(IMG_EXTENSIONS))}",
        )
    return list(images.values())


def _images_below(folder: Path, on_skipped: Callable[[Path], None]) -> list[Path]:
    def raise_error(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror}") from error

    images = []
    for parent, folders, files in os.walk(folder, onerror=raise_error):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(parent) / name
            if name.startswith("."):
                continue
            # A pipe or a broken link with an image's name is told when it is to be read.
            if file.suffix.lower(
            ) in IMG_EXTENSIONS or not special_file_type(file) and is_image_like(file):
                images.append(file)
            else:
                on_skipped(file)
    return images


def summarize_skipped(files: Iterable[Path]) -> str:
    """Files that are no images as a list for a message: '12 .txt, 2 .json, 1 without an ending'."""
    counts = Counter(file.suffix.lower() for file in files)
    return ", ".join(f"{count} {suffix or 'without an ending'}"
                     for suffix, count in counts.most_common())


class OutputNames:
    """Hands out '<stem>.jpg', and '<stem>_2.jpg', ... where the name is taken.

    Names that differ only in case count as the same, since some file systems say so.
    """

    def __init__(self) -> None:
        self._used: set[str] = set()

    def name_for(self, file: Path) -> str:
        """A file name that was not handed out before."""
        name, count = f"{file.stem}.jpg", 1
        while name.lower() in self._used:
            count += 1
            name = f"{file.stem}_{count}.jpg"
        self._used.add(name.lower())
        return name
