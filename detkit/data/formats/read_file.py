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
MOST_XML = 64_000_000
MOST_LIST = 1_000_000_000


class UnreadableFile(DataError):
    """A file or folder that is there, and whose content cannot be had: it may hold anything."""


def read_file(path: Path, limit: int, why: str = "", text: bool = False) -> bytes:
    """The content of a regular file, as ``files.read_bytes`` reads it.

    Raises:
        UnreadableFile: the system does not let it be read, it is no regular file, or larger than
            ``limit`` bytes.
        BadGzipFile, EOFError, zlib.error: a packed file is broken.
    """
    try:
        return read_bytes(path, limit, why, text)
    except OSError as error:
        if error.errno is None:  # what gzip says of a file that is none
            raise
        raise unreadable(path, error) from error


def open_text(path: Path, errors: str = "strict") -> TextIO:
    """A regular file of text in UTF-8, with or without a mark of that, its line ends as they are.

    Raises:
        UnreadableFile: as ``read_file``.
    """
    try:
        file = open_regular(path)
        size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise unreadable(path, error) from error
    if size > MOST_LIST:
        file.close()
        raise UnreadableFile(f"{path}: it holds {size / 1e6:,.0f} MB",
                             expected=f"a list of at most {MOST_LIST / 1e6:,.0f} MB")
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors=errors, newline="")


def unreadable(path: str | Path, error: OSError) -> UnreadableFile:
    """The error for a path that the system does not let be read."""
    return UnreadableFile(f"{path}: cannot be read ({error.strerror or error})")


def names_in(folder: str | Path) -> list[str]:
    """The names in a folder, in no order; none where there is no such folder.

    Raises:
        UnreadableFile: there is one, and it may not be read.
    """
    return [entry.name for entry in entries_of(folder)]


def entries_of(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, in no order; nothing where there is no such folder.

    Raises:
        UnreadableFile: there is one, and it may not be read.
    """
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        if os.path.isdir(folder):
            raise unreadable(folder, error) from error
    except ValueError:  # no name that a folder can have
        return


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a broken link is none.

    Raises:
        UnreadableFile: where a link leads may not be asked.
    """
    try:
        return entry.is_dir()
    except PermissionError as error:
        raise unreadable(entry.path, error) from error
    except OSError:  # a link to itself
        return False


def stop_at(error: OSError) -> None:
    """For ``os.walk``, which passes over a folder that cannot be read.

    Raises:
        UnreadableFile: always.
    """
    raise unreadable(str(error.filename), error) from error
