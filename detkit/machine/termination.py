"""SIGTERM, which a system sends before it goes down, ends a command as Ctrl-C does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM came; whatever cleans up after Ctrl-C does so after it."""


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Raise `Terminated` in the body at the first SIGTERM; a second one ends the process at once.

    Nothing changes outside of the main thread, where a program has a handler of its own, and in
    the processes of a distributed run: these wait for each other where no handler of Python runs,
    and their launcher ends them.
    """
    alone = int(os.environ.get("WORLD_SIZE") or 1) == 1
    main = threading.current_thread() is threading.main_thread()
    if not (alone and main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL):
        yield
        return
    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() != owner:  # A process that was forked has it too, and nobody to catch it.
            os.kill(os.getpid(), number)
        raise Terminated

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
