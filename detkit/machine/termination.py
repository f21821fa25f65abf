"""SIGTERM, which a system sends before it goes down, ends a command as Ctrl-C does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TerminationInterrupt(KeyboardInterrupt):
    """SIGTERM came; whatever cleans up after Ctrl-C does so after it."""


def _handle_sigterm(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Who ends all processes of a run ends the loading ones too, and torch would raise of it in
    # whatever cleans up or runs at exit.
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    raise TerminationInterrupt


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Raise `TerminationInterrupt` in the body at the first SIGTERM; a second one ends the process
    at once.

    Nothing changes outside of the main thread, where a program has a handler of its own, and in
    the processes of a distributed run: these wait for each other where no handler of Python runs,
    and their launcher ends them.
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
    """The interrupt that ``error`` was raised in place of, as mmengine's formatter of configs does.

    None where it has another cause.
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


# A forked process has nobody who would catch it. Nothing runs in the parent: what a signal raises
# in such a function is lost.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restore_default_handler)
