"""What a run ends with when the machine fails it: which file, and where it can go on."""

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

# As long as torch's processes wait for each other over gloo. A first batch from a slow disk takes
# minutes, and a run that Ctrl-Z stops for a while should not end when it goes on.
LOADING_TIMEOUT_S = 1800
_TIMED_OUT = re.compile(r"DataLoader timed out after ([\d.]+) seconds")
_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_PROCESS_STATES = {"T": "stopped", "t": "stopped", "D": "waiting for a disk", "Z": "ended"}


def set_loading_timeout(cfg: Config) -> None:
    """Have every dataloader of ``cfg`` with processes give up on one that hangs.

    A ``timeout`` of the config stands; 0 waits for ever.
    """
    for split in ("train", "val", "test"):
        loader: Any = cfg.get(f"{split}_dataloader")
        if isinstance(loader, Mapping) and loader.get("num_workers"):
            loader.setdefault("timeout", LOADING_TIMEOUT_S)  # type: ignore[attr-defined]


@contextmanager
def explain_failures(folder: Path | None = None) -> Iterator[None]:
    """Say of an error that memory, a disk or another process caused where the run can go on.

    Args:
        folder: the work dir of a training; None where there is nothing to go on with.

    Raises:
        DetkitError: in place of such an error; others pass as they are.
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
                error.filename = str(folder)  # Such as of a log in it.
            line = describe_system_failure(error)
        if line is None:
            raise
        raise DetkitError(line, hint=None if folder is None else _resume_hint(folder)) from error


def _resume_hint(folder: Path) -> str | None:
    last = find_latest_checkpoint(folder)
    return None if last is None else f"the last checkpoint is {last}: --resume goes on from it"


def _end_hanging_processes(seconds: str, before: list[BaseProcess]) -> str:
    """End the data loading processes, and return the line that says how they hung."""
    children = [(child, _process_state(child)) for child in multiprocessing.active_children()
                if child not in before]
    # torch's handler of SIGCHLD raises an error of its own, at whatever line runs just then, for
    # each loading process that is killed.
    in_main_thread = threading.current_thread() is threading.main_thread()
    on_child = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if in_main_thread else None
    try:
        for child, _ in children:
            # A stopped process heeds nothing else, and this one would wait for it at its end.
            child.kill()
            child.join()
    finally:
        if on_child is not None:
            signal.signal(signal.SIGCHLD, on_child)
    shown = ", ".join(f"{child.pid} ({state})" if state else str(child.pid)
                      for child, state in children)
    return (f"no batch came from the data loading processes for {float(seconds):g} s"
            + (f"; they were {shown}" if shown else "")
            + "; a slow disk may need a larger train_dataloader.timeout (seconds, 0 for no limit)")


def _process_state(child: BaseProcess) -> str | None:
    """What the system says that a process does, where that is not its work."""
    try:
        stat = Path(f"/proc/{child.pid}/stat").read_text()
    except OSError:
        return None
    return _PROCESS_STATES.get(stat.rpartition(")")[2].split()[0])
