"""The file on disk below a video container: whole to the last fragment, even on a full disk."""

from __future__ import annotations

import os
import struct
from pathlib import Path


class FragmentedFile:
    """A new file that an encoder's library writes through.

    After the first write that fails nothing more is written, the library's clearing up
    included: what lies in the file until then stays as it is.

    Args:
        path: the file; written over when it exists.

    Attributes:
        error: why writing ended; None while all is well.

    Raises:
        OSError: the file cannot be opened; a named pipe is one that nobody reads.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb", buffering=0, opener=_open_nonblocking)
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of ``data``.

        Raises:
            OSError: this write, or one before it, failed.
        """
        if self.error is not None:
            raise self.error
        remaining = memoryview(data)
        try:
            while remaining:  # a disk that is nearly full takes a part
                remaining = remaining[self._file.write(remaining):]
        except OSError as error:
            self.error = error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go on writing elsewhere."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._file.tell()

    def close(self) -> None:
        """Let the file go; may be called twice."""
        self._file.close()


def _open_nonblocking(path: str, flags: int) -> int:
    """Open a named pipe that nobody reads with an error, instead of waiting for a reader."""
    if not hasattr(os, "O_NONBLOCK"):
        return os.open(path, flags, 0o666)
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


def truncate_to_last_fragment(path: Path) -> None:
    """Shorten a fragmented mp4 whose writing was broken off to the fragments that are whole.

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
            # A fragment is its table, 'moof', and its pictures, 'mdat'.
            if box_type != b"moof":
                end = position
        file.truncate(end)
