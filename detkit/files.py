"""What lies at a path, asked before it is opened: opening a pipe or a device may wait for ever."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

BLOCK_BYTES = 1 << 20
_SPECIAL_FILE_TYPES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def special_file_type(path: str | Path) -> str | None:
    """The kind of a path that is neither a regular file nor a folder, symbolic links followed.

    Returns:
        'a named pipe', 'a socket' or 'a device' for a message; None for a regular file, a folder,
        and where nothing lies or the path cannot be asked.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return None
    return _SPECIAL_FILE_TYPES.get(stat.S_IFMT(mode))


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading bytes; never a pipe, socket or device, which may wait for ever.

    Raises:
        OSError: nothing is there, it is a folder, may not be read, or is no regular file; its
            ``strerror`` says which.
    """
    special = special_file_type(path)
    if special is not None:
        raise OSError(errno.EINVAL, f"it is {special}, not a file", str(path))
    return open(path, "rb")


def read_bytes(path: str | Path, limit: int, reason: str = "", text: bool = False) -> bytes:
    """All bytes of a regular file; one whose name ends in .gz is unpacked.

    Args:
        limit: the most bytes to take, unpacked; a larger file is not read at all, a packed one
            no further than the next MB.
        reason: what the limit comes from, for the message.
        text: no byte of it is to be 0: reading ends within the next MB behind one, so that a
            large file that is none (a disk image, one with holes) is not read whole.

    Raises:
        OSError: as ``open_regular``, or there is more than ``limit``; or not a gzip file.
        EOFError, zlib.error: a packed file is cut short or broken.
    """
    gzipped = Path(path).suffix.lower() == ".gz"
    with open_regular(path) as file, ExitStack() as stack:
        size = 0 if gzipped else os.fstat(file.fileno()).st_size
        stream: Any = stack.enter_context(gzip.GzipFile(fileobj=file)) if gzipped else file
        blocks: list[bytes] = []
        received = 0
        while size <= limit and (block := stream.read(BLOCK_BYTES)):
            blocks.append(block)
            received += len(block)
            size = max(size, received)
            if text and b"\0" in block:
                break
    if size > limit:
        raise OSError(errno.EFBIG, f"it holds {'more than ' * gzipped}{size / 1e6:,.0f} MB, and at "
                      f"most {limit / 1e6:,.0f} MB are read{reason and ': ' + reason}", str(path))
    return b"".join(blocks)


def compute_sha256(path: str | Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits; read a block at a time.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def atomic_replace(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file that replaces ``path`` when the block ends without an exception.

    A reader gets the previous content or the complete new content. After an exception, or when
    the process is killed, the previous file is unchanged.

    Args:
        path: the file to write; its folder must exist.
        mode: 'w' for text in UTF-8 with line ends as written, where a file name that is not UTF-8
            keeps its bytes; 'wb' for bytes.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(path)
    temp_path = path.with_name(f".{path.name}.{os.getpid()}")
    text_format: dict[str, Any] = {} if "b" in mode else {
        "encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
    try:
        with open(temp_path, mode, **text_format) as file:
            yield file
        os.replace(temp_path, path)
    except BaseException:
        temp_path.unlink(missing_ok=True)
        raise
