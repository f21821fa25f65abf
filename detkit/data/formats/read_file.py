"""Read annotation files, lists and tables: regular files up to a size limit."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from detkit.errors import DataError
from detkit.files import open_regular, read_bytes

# An xml file describes one image and a line of a list names one: both are far below.
MAX_XML_BYTES = 64_000_000
MAX_LIST_BYTES = 1_000_000_000


class UnreadableFileError(DataError):
    """A file or folder exists and cannot be read, so that its format is unknown."""


def read_file(path: Path, limit: int, reason: str = "", text: bool = False) -> bytes:
    """The content of a regular file; see ``files.read_bytes`` for the arguments.

    Raises:
        UnreadableFileError: the file cannot be opened, is not a regular file, or is larger than
            ``limit`` bytes.
        BadGzipFile, EOFError, zlib.error: a gzip file is invalid.
    """
    try:
        return read_bytes(path, limit, reason, text)
    except OSError as error:
        if error.errno is None:  # from gzip: not a gzip file
            raise
        raise unreadable_error(path, error) from error


def open_text(path: Path, errors: str = "strict") -> TextIO:
    """Open a regular UTF-8 text file, with or without a byte order mark; line ends are kept.

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
    """The error for a path that cannot be read."""
    return UnreadableFileError(f"{path}: cannot be read ({error.strerror or error})")


def list_dir_names(folder: str | Path) -> list[str]:
    """The names in a folder, unordered; empty where the folder does not exist.

    Raises:
        UnreadableFileError: the folder exists and cannot be read.
    """
    return [entry.name for entry in scan_entries(folder)]


def scan_entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """The entries of a folder, unordered; none where the folder does not exist.

    Raises:
        UnreadableFileError: the folder exists and cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        if os.path.isdir(folder):
            raise unreadable_error(folder, error) from error
    except ValueError:  # not a valid path
        return


def is_dir_entry(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; False for a broken link.

    Raises:
        UnreadableFileError: the target of a link cannot be read.
    """
    try:
        return entry.is_dir()
    except PermissionError as error:
        raise unreadable_error(entry.path, error) from error
    except OSError:  # a link to itself
        return False


def raise_walk_error(error: OSError) -> None:
    """The ``onerror`` of ``os.walk``, which would skip a folder that cannot be read.

    Raises:
        UnreadableFileError: always.
    """
    raise unreadable_error(str(error.filename), error) from error
