"""Files of annotations, lists and tables: regular ones, of a size that can be read."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from detkit.errors import DataError
from detkit.files import open_regular, read_bytes

# An xml is of one image, a line of a list names one: both are far below.
MAX_XML_BYTES = 64_000_000
MAX_LIST_BYTES = 1_000_000_000


class UnreadableFileError(DataError):
    """A file or folder that is there, and whose content cannot be had: it may hold anything."""


def read_file(path: Path, limit: int, reason: str = "", text: bool = False) -> bytes:
    """The content of a regular file, as ``files.read_bytes`` reads it.

    Raises:
        UnreadableFileError: the system does not let it be read, it is no regular file, or larger
            than ``limit`` bytes.
        BadGzipFile, EOFError, zlib.error: a packed file is broken.
    """
    try:
        return read_bytes(path, limit, reason, text)
    except OSError as error:
        if error.errno is None:  # what gzip says of a file that is none
            raise
        raise unreadable_error(path, error) from error


def open_text(path: Path, errors: str = "strict") -> TextIO:
    """A regular file of text in UTF-8, with or without a mark of that, its line ends as they are.

    Raises:
        UnreadableFileError: as ``read_file``.
    """
    try:
        file = open_regular(path)
        size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise unreadable_error(path, error) from error
    if size > MAX_LIST_BYTES:
        file.close()
        raise UnreadableFileError(f"{path}: it holds {size / 1e6:,.0f} MB",
                                  expected=f"a list of at most {MAX_LIST_BYTES / 1e6:,.0f} MB")
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors=errors, newline="")


def unreadable_error(path: str | Path, error: OSError) -> UnreadableFileError:
    """The error for a path that the system does not let be read."""
    return UnreadableFileError(f"{path}: cannot be read ({error.strerror or error})")


def list_names(folder: str | Path) -> list[str]:
    """The names in a folder, in no order; none where there is no such folder.

    Raises:
        UnreadableFileError: there is one, and it may not be read.
    """
    return [entry.name for entry in scan_entries(folder)]


def scan_entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, in no order; nothing where there is no such folder.

    Raises:
        UnreadableFileError: there is one, and it may not be read.
    """
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        if os.path.isdir(folder):
            raise unreadable_error(folder, error) from error
    except ValueError:  # no name that a folder can have
        return


def is_dir_entry(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a broken link is none.

    Raises:
        UnreadableFileError: where a link leads may not be asked.
    """
    try:
        return entry.is_dir()
    except PermissionError as error:
        raise unreadable_error(entry.path, error) from error
    except OSError:  # a link to itself
        return False


def raise_walk_error(error: OSError) -> None:
    """For ``os.walk``, which passes over a folder that cannot be read.

    Raises:
        UnreadableFileError: always.
    """
    raise unreadable_error(str(error.filename), error) from error
