"""How many threads compute: as many as other processes leave cores for, asked again all the time.

Threads that share the work of one step wait for each other. Where another process is on a core,
the thread there is late by a slice of the scheduler's, and all others, which wait spinning, with
it: two threads on two cores with one busy process beside them are several times slower than one.
So one thread computes for each core that is free, at least one.

Only the command line uses this (`watch_cores`); a program that imports detkit keeps its threads.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Mapping
from time import monotonic, perf_counter

from detkit.machine.load import Reading, free_cores, read_load

THREADS_VARIABLE = "OMP_NUM_THREADS"
TOLERATED = 0.2  # of a core, in use by others, that costs less than a thread does
PERIOD = 1.0  # seconds between readings, at least
READINGS_UP = 3  # that must agree before there are more threads; for fewer one is enough
MOST_READINGS_UP = 48
# Readings cost up to this part of the time: where thousands of processes run they come less often.
COST_SHARE = 0.005


class ThreadGovernor:
    """Says how many threads to compute with, from how many cores others leave free.

    Args:
        most: the threads to use on an idle machine, at least 1.
        first: a reading from before; its time up to now decides what to begin with. None begins
            with ``most``.
        read: gives a reading, or None where there are none: then it stays at ``most``.

    Attributes:
        threads: the number now.
        free: cores that were free at the last reading; None before the second.
    """

    def __init__(
        self,
        most: int,
        first: Reading | None = None,
        read: Callable[[], Reading | None] = read_load,
    ) -> None:
        if most < 1:
            raise ValueError(f"most: got {most}, expected at least 1")
        self.most = self.threads = most
        self.free: float | None = None
        self._read = read
        self._last = first
        self._period = PERIOD
        self._no_readings = False
        self._agree_up = 0
        self._readings_up = READINGS_UP
        self._since_up = 2 * READINGS_UP  # as if it had been up for long

    def update(self, now: float) -> bool:
        """Take a reading if it is time for one; tell whether ``threads`` changed by it.

        Args:
            now: seconds on the monotonic clock.
        """
        early = self._last is not None and now - self._last.time < self._period
        if early or self.most == 1 or self._no_readings:
            return False
        begun = perf_counter()
        before, after = self._last, self._read()
        self._period = max(PERIOD, (perf_counter() - begun) / COST_SHARE)
        if after is None:
            self._no_readings = True
            return False
        self._last = after
        if before is None or after.time <= before.time:
            return False
        return self._decide(free_cores(before, after))

    def _decide(self, free: float) -> bool:
        self.free = free
        self._since_up += 1
        fewer, more = self._fitting(free), self._fitting(free - TOLERATED / 2)
        self._agree_up = self._agree_up + 1 if more > self.threads else 0
        if fewer < self.threads:
            # Soon after it went up: the others come and go, so that the next time waits longer.
            soon = self._since_up <= 2 * self._readings_up
            self._readings_up = min(self._readings_up * 2, MOST_READINGS_UP) if soon \
                else READINGS_UP
            self.threads = fewer
            return True
        if self._agree_up < self._readings_up:
            return False
        self.threads, self._agree_up, self._since_up = more, 0, 0
        return True

    def _fitting(self, free: float) -> int:
        return max(1, min(self.most, math.floor(free + TOLERATED)))


class _Watch:
    """What the command of this process watches; one for all of its threads."""

    def __init__(self) -> None:
        self.first: Reading | None = None
        self.governor: ThreadGovernor | None = None
        self.is_on = False
        self.lock = threading.Lock()


_watch = _Watch()


def watch_cores(environ: Mapping[str, str] = os.environ) -> None:
    """Begin to watch the cores for a command, unless the user has set the number of threads.

    To be called as early as can be: what others use while torch is imported decides how many
    threads there are at first. How threads wait for each other is left as it is: of libgomp's
    ways its own is the fastest on an idle machine, and a single thread waits for none.

    Args:
        environ: the environment.
    """
    _watch.governor = None
    _watch.is_on = THREADS_VARIABLE not in environ
    _watch.first = read_load() if _watch.is_on else None


def unwatch_cores() -> None:
    """End what `watch_cores` began, at the end of a command: torch has its threads back."""
    governor, _watch.governor, _watch.is_on = _watch.governor, None, False
    if governor is not None:
        import torch

        torch.set_num_threads(governor.most)


def cores_are_shared() -> bool:
    """Whether a command computes with fewer threads now, as others use the cores."""
    governor = _watch.governor
    return governor is not None and governor.threads < governor.most


def first_threads(most: int) -> int:
    """The number of threads to begin with, ``most`` where nobody watches the cores.

    Args:
        most: the threads to use on an idle machine, at least 1; what the first call says stands.
    """
    if not _watch.is_on:
        return most
    if _watch.governor is not None:
        return _watch.governor.threads
    governor = ThreadGovernor(most, _watch.first, read_load)
    if governor.update(monotonic()):
        _tell(governor, most)
    _watch.governor = governor
    return governor.threads


def settle_threads() -> None:
    """Let torch compute, in this thread, with as many threads as there are free cores now.

    For the moments between two steps or images. Quick where there is nothing to do.
    """
    governor = _watch.governor
    if governor is None:
        return
    if _watch.lock.acquire(blocking=False):  # another thread reads just now
        try:
            before = governor.threads
            if governor.update(monotonic()):
                _tell(governor, before)
        finally:
            _watch.lock.release()
    import torch

    if torch.get_num_threads() != governor.threads:
        torch.set_num_threads(governor.threads)


def _tell(governor: ThreadGovernor, before: int) -> None:
    print(f"threads: {governor.threads} in place of {before}, as other processes leave "
          f"{governor.free:.1f} cores free (set {THREADS_VARIABLE} to keep a number)",
          file=sys.stderr)
