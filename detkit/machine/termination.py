"""Handles SIGTERM, which a system sends before a shutdown, like Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TerminationInterrupt(KeyboardInterrupt):
    """Raised by SIGTERM; code that cleans up after Ctrl-C also cleans up after it."""


def _handle_sigterm(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # SIGTERM to the process group also ends the data loading processes, for which torch's SIGCHLD
    # handler would raise an error during cleanup.
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    raise TerminationInterrupt


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Raise `TerminationInterrupt` in the body at the first SIGTERM; a second one kills.

    Has no effect outside of the main thread, if the program has its own handler, and in a
    distributed run: its processes wait for each other in code that runs no Python handlers, and
    their launcher kills them.
    """
    is_single_process = os.environ.get("WORLD_SIZE", "1") == "1"
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not (is_single_process and is_main_thread
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL):
        yield
        return
    signal.signal(signal.SIGTERM, _handle_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def find_interrupt_cause(error: BaseException) -> KeyboardInterrupt | None:
    """The interrupt in the chain of causes of ``error``; None if there is none.

    mmengine's config formatter, for one, raises other errors from an interrupt.
    """
    visited: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in visited:
        if isinstance(cause, KeyboardInterrupt):
            return cause
        visited.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return None


def _restore_default_handler() -> None:
    if signal.getsignal(signal.SIGTERM) is _handle_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


# Forked processes, such as data loaders, do not catch the interrupt. There is no function for the
# parent, because an exception of a signal handler would be lost in it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restore_default_handler)
