"""What lies at a path, asked before it is opened: opening a pipe or a device may wait for ever."""

from __future__ import annotations

import os
import stat
from pathlib import Path

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
