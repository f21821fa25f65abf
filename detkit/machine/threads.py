"""How many threads compute: as many as other processes leave cores for, asked again all the time.

Threads that share the work of one step wait for each other. Where another process is on a core,
the thread there is late by a slice of the scheduler's, and all others, which wait spinning, with
it: two threads on two cores with one busy process beside them are several times slower than one.
So one thread computes for each core that is free, at least one.

Only the command line uses this (`start_core_monitor`); a program that imports detkit keeps its
threads.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Mapping
from time import monotonic, perf_counter

from detkit.machine.cpu_load import CpuTimes, count_free_cores, read_cpu_times

THREADS_ENV_VAR = "OMP_NUM_THREADS"
TOLERATED_LOAD = 0.2  # of a core, in use by others, that costs less than a thread does
MIN_PERIOD_S = 1.0  # seconds between readings, at least
READINGS_TO_INCREASE = 3  # that must agree before there are more threads; for fewer one is enough
MAX_READINGS_TO_INCREASE = 48
# Readings cost up to this part of the time: where thousands of processes run they come less often.
MAX_OVERHEAD = 0.005


class ThreadGovernor:
    """Says how many threads to compute with, from how many cores others leave free.

    Args:
        max_threads: the threads to use on an idle machine, at least 1.
        initial_times: a reading from before; its time up to now decides what to begin with. None
            begins with ``max_threads``.
        read: gives a reading, or None where there are none: then it stays at ``max_threads``.

    Attributes:
        threads: the number now.
        num_free_cores: cores that were free at the last reading; None before the second.
    """

    def __init__(
        self,
        max_threads: int,
        initial_times: CpuTimes | None = None,
        read: Callable[[], CpuTimes | None] = read_cpu_times,
    ) -> None:
        if max_threads < 1:
            raise ValueError(f"max_threads: got {max_threads}, expected at least 1")
        self.max_threads = self.threads = max_threads
        self.num_free_cores: float | None = None
        self._read = read
        self._last = initial_times
        self._period = MIN_PERIOD_S
        self._no_readings = False
        self._agreeing_readings = 0
        self._required_readings = READINGS_TO_INCREASE
        self._readings_since_increase = 2 * READINGS_TO_INCREASE  # as if it had been up for long

    def update(self, now: float) -> bool:
        """Take a reading if it is time for one; tell whether ``threads`` changed by it.

        Args:
            now: seconds on the monotonic clock.
        """
        too_early = self._last is not None and now - self._last.time < self._period
        if too_early or self.max_threads == 1 or self._no_readings:
            return False
        start = perf_counter()
        before, after = self._last, self._read()
        self._period = max(MIN_PERIOD_S, (perf_counter() - start) / MAX_OVERHEAD)
        if after is None:
            self._no_readings = True
            return False
        self._last = after
        if before is None or after.time <= before.time:
            return False
        return self._decide(count_free_cores(before, after))

    def _decide(self, num_free_cores: float) -> bool:
        self.num_free_cores = num_free_cores
        self._readings_since_increase += 1
        fewer, more = self._threads_for(num_free_cores), self._threads_for(num_free_cores -
                                                                           TOLERATED_LOAD / 2)
        self._agreeing_readings = self._agreeing_readings + 1 if more > self.threads else 0
        if fewer < self.threads:
            # Soon after it went up: the others come and go, so that the next time waits longer.
            increased_recently = self._readings_since_increase <= 2 * self._required_readings
            self._required_readings = min(self._required_readings * 2, MAX_READINGS_TO_INCREASE) if increased_recently \
                else READINGS_TO_INCREASE
            self.threads = fewer
            return True
        if self._agreeing_readings < self._required_readings:
            return False
        self.threads, self._agreeing_readings, self._readings_since_increase = more, 0, 0
        return True

    def _threads_for(self, num_free_cores: float) -> int:
        return max(1, min(self.max_threads, math.floor(num_free_cores + TOLERATED_LOAD)))


class _CoreMonitor:
    """What the command of this process watches; one for all of its threads."""

    def __init__(self) -> None:
        self.initial_times: CpuTimes | None = None
        self.governor: ThreadGovernor | None = None
        self.enabled = False
        self.lock = threading.Lock()


_monitor = _CoreMonitor()


def start_core_monitor(environ: Mapping[str, str] = os.environ) -> None:
    """Begin to watch the cores for a command, unless the user has set the number of threads.

    To be called as early as can be: what others use while torch is imported decides how many
    threads there are at first. How threads wait for each other is left as it is: of libgomp's
    ways its own is the fastest on an idle machine, and a single thread waits for none.

    Args:
        environ: the environment.
    """
    _monitor.governor = None
    _monitor.enabled = THREADS_ENV_VAR not in environ
    _monitor.initial_times = read_cpu_times() if _monitor.enabled else None


def stop_core_monitor() -> None:
    """End what `start_core_monitor` began, at the end of a command: torch has its threads back."""
    governor, _monitor.governor, _monitor.enabled = _monitor.governor, None, False
    if governor is not None:
        import torch

        torch.set_num_threads(governor.max_threads)


def cores_are_shared() -> bool:
    """Whether a command computes with fewer threads now, as others use the cores."""
    governor = _monitor.governor
    return governor is not None and governor.threads < governor.max_threads


def initial_num_threads(max_threads: int) -> int:
    """The number of threads to begin with, ``max_threads`` where nobody watches the cores.

    Args:
        max_threads: the threads to use on an idle machine, at least 1; what the first call says
            stands.
    """
    if not _monitor.enabled:
        return max_threads
    if _monitor.governor is not None:
        return _monitor.governor.threads
    governor = ThreadGovernor(max_threads, _monitor.initial_times, read_cpu_times)
    if governor.update(monotonic()):
        _report_change(governor, max_threads)
    _monitor.governor = governor
    return governor.threads


def update_num_threads() -> None:
    """Let torch compute, in this thread, with as many threads as there are free cores now.

    For the moments between two steps or images. Quick where there is nothing to do.
    """
    governor = _monitor.governor
    if governor is None:
        return
    if _monitor.lock.acquire(blocking=False):  # another thread reads just now
        try:
            before = governor.threads
            if governor.update(monotonic()):
                _report_change(governor, before)
        finally:
            _monitor.lock.release()
    import torch

    if torch.get_num_threads() != governor.threads:
        torch.set_num_threads(governor.threads)


def _report_change(governor: ThreadGovernor, before: int) -> None:
    print(f"threads: {governor.threads} in place of {before}, as other processes leave "
          f"{governor.num_free_cores:.1f} cores free (set {THREADS_ENV_VAR} to keep a number)",
          file=sys.stderr)
