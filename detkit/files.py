"""Safe file access: special files are not opened, and files are replaced in one step."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

BLOCK_BYTES = 1 << 20
PARTIAL_SUFFIX = ".partial"
_MAX_NAME_BYTES = 200  # most file systems allow 255 bytes, and the temporary name is longer
_SPECIAL_FILE_TYPES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def special_file_type(path: str | Path) -> str | None:
    """The type of a path that is neither a regular file nor a folder; symbolic links are followed.

    Opening such a path may block forever.

    Returns:
        'a named pipe', 'a socket' or 'a device', for a message; None for a regular file, a folder,
        a path that does not exist, and one that cannot be accessed.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return None
    return _SPECIAL_FILE_TYPES.get(stat.S_IFMT(mode))


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file for reading bytes.

    Raises:
        OSError: the path does not exist, is a folder or a special file, or may not be read;
            ``strerror`` gives the reason.
    """
    special = special_file_type(path)
    if special is not None:
        raise OSError(errno.EINVAL, f"it is {special}, not a file", str(path))
    return open(path, "rb")


def read_bytes(path: str | Path, limit: int, reason: str = "", text: bool = False) -> bytes:
    """Read all bytes of a regular file; a file whose name ends in .gz is decompressed.

    Args:
        limit: maximum number of bytes, after decompression. A larger file is not read; a larger
            gzip file is read up to one block beyond the limit.
        reason: where the limit comes from, for the message.
        text: whether the file should be text. Reading stops after the block with the first zero
            byte, so that a large binary or sparse file is not read to its end.

    Raises:
        OSError: as in ``open_regular``; or the file is larger than ``limit``, or not a gzip file.
        EOFError, zlib.error: a gzip file is truncated or damaged.
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
    """The SHA-256 of a file's content as hexadecimal digits; the file is read in blocks.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def atomic_replace(
    path: str | Path, mode: str = "w", *, fsync: bool = False, **open_options: Any
) -> Iterator[IO[Any]]:
    """Write a file that replaces ``path`` in one step when the body ends.

    A reader sees the old file or the complete new one, never a part of it. If the body raises, the
    old file stays and nothing else is left.

    Args:
        path: the file to create or replace; its folder must exist.
        mode: 'w' for text in UTF-8 with unchanged line ends, in which a file name that is not UTF-8
            keeps its bytes; 'wb' for bytes.
        fsync: whether to wait until the content is on the disk before ``path`` is replaced.
        **open_options: arguments of ``open`` instead of these.

    Yields:
        An open file under a temporary name in the same folder. The body may also write to it
        through its ``name``.

    Raises:
        OSError: the file cannot be written; its ``filename`` is ``path``.
    """
    path = Path(path)
    name = path.name if len(os.fsencode(path.name)) <= _MAX_NAME_BYTES else ""
    partial = path.with_name(f".{name}.{secrets.token_hex(4)}{PARTIAL_SUFFIX}")
    if "b" not in mode:
        text_options = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
        open_options = {**text_options, **open_options}
    try:
        with open(partial, mode.replace("w", "x"), **open_options) as file:
            yield file
            if fsync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        # The error of a full disk has no file name.
        if isinstance(error, OSError) and error.filename in (None, str(partial)):
            error.filename = str(path)
        raise
