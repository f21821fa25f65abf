"""The output file of a video container; playable up to its last fragment even on a full disk."""

from __future__ import annotations

import os
import struct
from pathlib import Path


class FragmentedFile:
    """A file object for an encoder library.

    After a failed write nothing more is written, including the cleanup of the library: the
    contents so far stay unchanged.

    Args:
        path: the file; overwritten if it exists.

    Attributes:
        error: the error of the failed write; None if there is none.

    Raises:
        OSError: the file cannot be opened, or is a named pipe without a reader.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb", buffering=0, opener=_open_nonblocking)
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of ``data``.

        Raises:
            OSError: this or an earlier write failed.
        """
        if self.error is not None:
            raise self.error
        remaining = memoryview(data)
        try:
            while remaining:  # a nearly full disk writes only a part
                remaining = remaining[self._file.write(remaining):]
        except OSError as error:
            self.error = error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the write position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The write position."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()


def _open_nonblocking(path: str, flags: int) -> int:
    """Fail for a named pipe without a reader, instead of waiting for one."""
    if not hasattr(os, "O_NONBLOCK"):
        return os.open(path, flags, 0o666)
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


def truncate_to_last_fragment(path: Path) -> None:
    """Truncate an incomplete fragmented mp4 to its complete fragments.

    Source: ISO/IEC 14496-12, 4.2 (size and type of a box), 8.8 (movie fragments).
    """
    size = path.stat().st_size
    end = position = 0
    with path.open("r+b") as file:
        while position + 8 <= size:
            file.seek(position)
            length, box_type = struct.unpack(">I4s", file.read(8))
            if length == 1:
                long = file.read(8)
                length = struct.unpack(">Q", long)[0] if len(long) == 8 else 0
            if length < 8 or position + length > size:
                break
            position += length
            # A fragment is a table, 'moof', and its media data, 'mdat'.
            if box_type != b"moof":
                end = position
        file.truncate(end)
