"""Error messages for failures of memory, disks and data loading processes during a run."""

from __future__ import annotations

import errno
import multiprocessing
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from mmengine.config import Config

from detkit.checkpoints.find_checkpoint import find_latest_checkpoint
from detkit.errors import DetkitError, describe_system_failure

# The timeout of torch's gloo process group. The first batch from a slow disk may take minutes, and
# a run that was suspended with Ctrl-Z should continue.
LOADING_TIMEOUT_S = 1800
_TIMED_OUT = re.compile(r"DataLoader timed out after ([\d.]+) seconds")
_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_PROCESS_STATES = {"T": "stopped", "t": "stopped", "D": "waiting for a disk", "Z": "ended"}


def set_loading_timeout(cfg: Config) -> None:
    """Set the ``timeout`` of every dataloader of ``cfg`` that has worker processes.

    A ``timeout`` in the config is kept; 0 waits forever.
    """
    for split in ("train", "val", "test"):
        loader: Any = cfg.get(f"{split}_dataloader")
        if isinstance(loader, Mapping) and loader.get("num_workers"):
            loader.setdefault("timeout", LOADING_TIMEOUT_S)  # type: ignore[attr-defined]


@contextmanager
def explain_failures(folder: Path | None = None) -> Iterator[None]:
    """Turn errors caused by memory, a disk or another process into one-line messages.

    Args:
        folder: the work dir of a training, whose last checkpoint the message names; None for a
            test.

    Raises:
        DetkitError: instead of such an error; other errors pass unchanged.
    """
    before = multiprocessing.active_children()
    try:
        yield
    except DetkitError:
        raise
    except Exception as error:
        timeout_match = _TIMED_OUT.search(str(error))
        if timeout_match is not None:
            line: str | None = _end_hanging_processes(timeout_match[1], before)
        else:
            if (folder is not None and isinstance(error, OSError) and error.errno in _DISK_ERRNOS
                    and error.filename is None):
                error.filename = str(folder)  # the file may be a log in it
            line = describe_system_failure(error)
        if line is None:
            raise
        raise DetkitError(line, hint=None if folder is None else _resume_hint(folder)) from error


def _resume_hint(folder: Path) -> str | None:
    last = find_latest_checkpoint(folder)
    return None if last is None else f"the last checkpoint is {last}: --resume continues from it"


def _end_hanging_processes(seconds: str, before: list[BaseProcess]) -> str:
    """Kill the data loading processes, and return a message with their states."""
    children = [(child, _process_state(child)) for child in multiprocessing.active_children()
                if child not in before]
    # torch's SIGCHLD handler raises an error, at any line, for each worker that is killed.
    in_main_thread = threading.current_thread() is threading.main_thread()
    on_child = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if in_main_thread else None
    try:
        for child, _ in children:
            # A stopped process ignores other signals, and this process would wait for it at exit.
            child.kill()
            child.join()
    finally:
        if on_child is not None:
            signal.signal(signal.SIGCHLD, on_child)
    shown = ", ".join(f"{child.pid} ({state})" if state else str(child.pid)
                      for child, state in children)
    return (f"the data loading processes returned no batch for {float(seconds):g} s"
            + (f"; they were {shown}" if shown else "")
            + "; a slow disk may need a larger train_dataloader.timeout (seconds, 0: no limit)")


def _process_state(child: BaseProcess) -> str | None:
    """The state of a process, if it is stopped, waiting for a disk, or has ended."""
    try:
        stat = Path(f"/proc/{child.pid}/stat").read_text()
    except OSError:
        return None
    return _PROCESS_STATES.get(stat.rpartition(")")[2].split()[0])
