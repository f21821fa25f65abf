"""Find image files in files and folders, and name their visualizations."""

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
    """Collect image files; folders are searched recursively.

    In a folder, images are recognized by their suffix or their first bytes, whether they can be
    read or not, and are sorted by name; hidden files are skipped. A file that is given directly is
    always included. Duplicates are dropped.

    Args:
        paths: files and folders.
        on_skipped: called with each file of a folder that is not an image.

    Raises:
        DataError: a path does not exist, or there are no images.
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
            "no images",
            got=", ".join(str(path) for path in input_paths) or "no paths",
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
            # A pipe or a broken link with an image's suffix is reported when it is read.
            has_image_suffix = file.suffix.lower() in IMG_EXTENSIONS
            if has_image_suffix or not special_file_type(file) and is_image_like(file):
                images.append(file)
            else:
                on_skipped(file)
    return images


def summarize_skipped(files: Iterable[Path]) -> str:
    """Counts of skipped files by suffix: '12 .txt, 2 .json, 1 without a suffix'."""
    counts = Counter(file.suffix.lower() for file in files)
    return ", ".join(f"{count} {suffix or 'without a suffix'}"
                     for suffix, count in counts.most_common())


class OutputNames:
    """Unique names of visualizations: '<stem>.jpg', or '<stem>_2.jpg', ... if the name is used.

    Names that differ only in case are the same on some file systems, so they are here.
    """

    def __init__(self) -> None:
        self._used: set[str] = set()

    def name_for(self, file: Path) -> str:
        """A name that was not returned before."""
        name, count = f"{file.stem}.jpg", 1
        while name.lower() in self._used:
            count += 1
            name = f"{file.stem}_{count}.jpg"
        self._used.add(name.lower())
        return name
