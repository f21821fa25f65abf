"""What lies at a path, asked before it is opened: opening a pipe or a device may wait for ever."""

from __future__ import annotations

import codecs
import errno
import gzip
import os
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

# What a file of JSON begins with, behind blanks: a larger one of another kind is not read whole.
JSON_FIRST = b'{["-0123456789tfnIN'
HEAD_BYTES = 4096

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


def read_bytes(path: str | Path, limit: int, why: str = "", first: bytes = b"") -> bytes:
    """All bytes of a regular file; one whose name ends in .gz is unpacked.

    Args:
        limit: the most bytes to read, unpacked; a larger file is not read at all, a packed one
            no further than that.
        why: what the limit comes from, for the message.
        first: what the first byte that is no blank may be; empty: any. Of a file that begins
            otherwise only the first 4096 bytes are given, for its reader to refuse.

    Raises:
        OSError: as ``open_regular``, or there is more than ``limit``; or not a gzip file.
        EOFError, zlib.error: a packed file is cut short or broken.
    """
    packed = Path(path).suffix.lower() == ".gz"
    with open_regular(path) as file, ExitStack() as stack:
        stream: Any = stack.enter_context(gzip.GzipFile(fileobj=file)) if packed else file
        head = stream.read(HEAD_BYTES)
        if first and head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] not in first:
            return bytes(head)
        stream.seek(0)
        if packed:
            content: bytes = stream.read(limit + 1)
            size = len(content)
        else:
            size = os.fstat(file.fileno()).st_size
            content = stream.read() if size <= limit else b""
    if size > limit:
        more = "more than " * (size == limit + 1)
        raise OSError(errno.EFBIG, f"it holds {more}{size / 1e6:,.0f} MB, and at most "
                      f"{limit / 1e6:,.0f} MB are read{why and ': ' + why}", str(path))
    return content
