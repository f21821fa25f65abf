"""What lies at a path, asked before it is opened: opening a pipe or a device may wait for ever."""

from __future__ import annotations

import errno
import gzip
import os
import stat
from pathlib import Path
from typing import BinaryIO

_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def special_file(path: str | Path) -> str | None:
    """The kind of a path that is neither a regular file nor a folder, symbolic links followed.

    Returns:
        'a named pipe', 'a socket' or 'a device' for a message; None for a regular file, a folder,
        and where nothing lies or the path cannot be asked.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return None
    return _SPECIAL.get(stat.S_IFMT(mode))


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading bytes; never a pipe, socket or device, which may wait for ever.

    Raises:
        OSError: nothing is there, it is a folder, may not be read, or is no regular file; its
            ``strerror`` says which.
    """
    special = special_file(path)
    if special is not None:
        raise OSError(errno.EINVAL, f"it is {special}, not a file", str(path))
    return open(path, "rb")


def read_bytes(path: str | Path, limit: int, why: str = "") -> bytes:
    """All bytes of a regular file; one whose name ends in .gz is unpacked.

    Args:
        limit: the most bytes to read, unpacked; a larger file is not read at all, a packed one
            no further than that.
        why: what the limit comes from, for the message.

    Raises:
        OSError: as ``open_regular``, or there is more than ``limit``; or not a gzip file.
        EOFError, zlib.error: a packed file is cut short or broken.
    """
    with open_regular(path) as file:
        if Path(path).suffix.lower() == ".gz":
            with gzip.GzipFile(fileobj=file) as packed:
                content = packed.read(limit + 1)
            size = len(content)
        else:
            size = os.fstat(file.fileno()).st_size
            content = file.read() if size <= limit else b""
    if size > limit:
        more = "more than " * (size == limit + 1)
        raise OSError(errno.EFBIG, f"it holds {more}{size / 1e6:,.0f} MB, and at most "
                      f"{limit / 1e6:,.0f} MB are read{why and ': ' + why}", str(path))
    return content
