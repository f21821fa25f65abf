"""One run at a time in a folder: two would write each other's checkpoints."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from detkit.errors import ConfigError

logger = logging.getLogger(__name__)
LOCK_NAME = ".run.lock"
_MAX_BYTES = 1 << 12
_HELD: set[str] = set()  # By this process, which the system would give its own lock once more.


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process while the body runs.

    The lock is the system's on a file that says who holds it, so that it ends with its process,
    whatever ends that. A file that a killed run of this computer left is taken over.

    Args:
        folder: made where it is not there.

    Raises:
        ConfigError: another run, of this computer or another, holds it.
        OSError: the folder cannot be made or written to.
    """
    created = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(os.path.realpath(folder), LOCK_NAME)
    if str(path) in _HELD:
        raise _locked_error(folder, _current_holder())
    fd = _open_locked(path, folder)
    _HELD.add(str(path))
    try:
        yield
    finally:
        # The name goes before the lock does, so that nobody locks a file that is about to go.
        with suppress(OSError):
            path.unlink()
        os.close(fd)
        _HELD.discard(str(path))
        if created:
            with suppress(OSError):  # It is not empty.
                folder.rmdir()


def _current_holder() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname()}


def _open_locked(path: Path, folder: Path) -> int:
    """An open, locked file with this process's name in it."""
    if path.is_symlink() or path.exists() and not path.is_file():
        raise ConfigError(f"{path} is no lock of a run",
                          hint="remove it, or pass another --work-dir")
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            acquired, holder = _lock(fd), _read_holder(fd)
            if acquired and not _is_same_file(fd, path):
                os.close(fd)
                continue
            # Locks do not reach other computers on every file system.
            if not acquired or holder and holder.get("host") != socket.gethostname():
                raise _locked_error(folder, holder)
            if holder:
                logger.warning("%s: the run of process %s was ended before its time; this one "
                               "takes over", folder, holder.get("pid"))
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
            os.write(fd, json.dumps(_current_holder()).encode())
            return fd
        except BaseException:
            os.close(fd)
            raise


def _lock(fd: int) -> bool:
    """Lock the open file; False when another process has it."""
    try:
        import fcntl
    except ImportError:  # Not a Unix.
        return not _is_alive(_read_holder(fd))
    try:
        # Of the process, unlike flock's: a loading process that outlives it holds nothing.
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # A file system without locks.
        return not _is_alive(_read_holder(fd))
    return True


def _is_alive(holder: dict[str, Any]) -> bool:
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return pid != os.getpid()


def _is_same_file(fd: int, path: Path) -> bool:
    """Whether ``path`` still is the open file, and not removed or made again by another run."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _read_holder(fd: int) -> dict[str, Any]:
    """Who wrote the file; empty for a new one, and for what no run wrote."""
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        content = json.loads(os.read(fd, _MAX_BYTES))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _locked_error(folder: Path, holder: dict[str, Any]) -> ConfigError:
    host, pid = holder.get("host", "?"), holder.get("pid", "?")
    if host in ("?", socket.gethostname()):
        return ConfigError(f"{folder} is in use by another training", got=f"process {pid}",
                           hint="wait for its end, or pass --work-dir with another folder")
    return ConfigError(
        f"{folder} is in use by a training on another computer", got=f"process {pid} of {host}",
        hint=f"wait for its end, or pass --work-dir with another folder; if it was killed there, "
        f"remove {folder / LOCK_NAME}",
    )
