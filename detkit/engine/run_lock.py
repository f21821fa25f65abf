"""A lock that allows only one run at a time in a work dir."""

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
_HELD: set[str] = set()  # locks of this process; the system would grant them to it again


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Lock ``folder`` for this process during the body.

    This is a file lock of the operating system, which ends with its process. The locked file
    contains the process id and the host. A file that a killed run of this host left is reused.

    Args:
        folder: created if it does not exist.

    Raises:
        ConfigError: another run, on this host or another, has locked it.
        OSError: the folder cannot be created or written to.
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
        # Removed before the lock is released, so that no other run locks a removed file.
        with suppress(OSError):
            path.unlink()
        os.close(fd)
        _HELD.discard(str(path))
        if created:
            with suppress(OSError):  # the folder is not empty
                folder.rmdir()


def _current_holder() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname()}


def _open_locked(path: Path, folder: Path) -> int:
    """Open and lock the file, and write the process id and host into it."""
    if path.is_symlink() or path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a lock file",
                          hint="remove it, or pass another --work-dir")
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            acquired, holder = _lock(fd), _read_holder(fd)
            if acquired and not _is_same_file(fd, path):
                os.close(fd)
                continue
            # Not every file system shares locks between hosts.
            if not acquired or holder and holder.get("host") != socket.gethostname():
                raise _locked_error(folder, holder)
            if holder:
                logger.warning("%s: the run of process %s was killed; its lock is replaced",
                               folder, holder.get("pid"))
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
            os.write(fd, json.dumps(_current_holder()).encode())
            return fd
        except BaseException:
            os.close(fd)
            raise


def _lock(fd: int) -> bool:
    """Lock the open file; False if another process has locked it."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return not _is_alive(_read_holder(fd))
    try:
        # Unlike flock's, this lock is not inherited by data loading processes.
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
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
    """Whether ``path`` is still the open file; another run may have removed or replaced it."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _read_holder(fd: int) -> dict[str, Any]:
    """The content of the lock file; empty if it is new or invalid."""
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
                           hint="wait until it ends, or pass another --work-dir")
    return ConfigError(
        f"{folder} is in use by a training on another host", got=f"process {pid} of {host}",
        hint=f"wait until it ends, or pass another --work-dir; if it was killed, remove "
        f"{folder / LOCK_NAME}",
    )
