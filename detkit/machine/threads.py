"""Adjusts the number of torch threads to the cores that other processes leave free.

The threads of one operation wait for each other. If another process uses a core, the thread there
is delayed by a time slice of the scheduler, and so are all others: two threads on two cores beside
one busy process are several times slower than one thread. So there is one thread for each free
core, and at least one.

Only the command line uses this (`start_core_monitor`); a program that imports detkit keeps its
number of threads.
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
TOLERATED_LOAD = 0.2  # use of a core by others that costs less than giving up a thread
MIN_PERIOD_S = 1.0  # minimum time between readings
READINGS_TO_INCREASE = 3  # consecutive readings before an increase; a decrease needs one
MAX_READINGS_TO_INCREASE = 48
# Maximum fraction of the time spent on readings; with thousands of processes they come less often.
MAX_OVERHEAD = 0.005


class ThreadGovernor:
    """Determines the number of threads from the number of free cores.

    Args:
        max_threads: number of threads on an idle machine, at least 1.
        initial_times: an earlier reading; the time since then determines the initial number of
            threads. None starts with ``max_threads``.
        read: returns a reading, or None if the system has no counters: the number of threads then
            stays ``max_threads``.

    Attributes:
        threads: the current number of threads.
        num_free_cores: number of free cores at the last reading; None before the second reading.
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
        self._readings_since_increase = 2 * READINGS_TO_INCREASE  # as if not recent

    def update(self, now: float) -> bool:
        """Take a reading if the period has passed; return whether ``threads`` changed.

        Args:
            now: the monotonic clock, in seconds.
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
        fewer = self._threads_for(num_free_cores)
        more = self._threads_for(num_free_cores - TOLERATED_LOAD / 2)
        self._agreeing_readings = self._agreeing_readings + 1 if more > self.threads else 0
        if fewer < self.threads:
            # A decrease soon after an increase: the load varies, so the next increase waits longer.
            if self._readings_since_increase <= 2 * self._required_readings:
                self._required_readings = min(self._required_readings * 2,
                                              MAX_READINGS_TO_INCREASE)
            else:
                self._required_readings = READINGS_TO_INCREASE
            self.threads = fewer
            return True
        if self._agreeing_readings < self._required_readings:
            return False
        self.threads, self._agreeing_readings, self._readings_since_increase = more, 0, 0
        return True

    def _threads_for(self, num_free_cores: float) -> int:
        return max(1, min(self.max_threads, math.floor(num_free_cores + TOLERATED_LOAD)))


class _CoreMonitor:
    """The monitor of this process, shared by all of its threads."""

    def __init__(self) -> None:
        self.initial_times: CpuTimes | None = None
        self.governor: ThreadGovernor | None = None
        self.enabled = False
        self.lock = threading.Lock()


_monitor = _CoreMonitor()


def start_core_monitor(environ: Mapping[str, str] = os.environ) -> None:
    """Start to monitor the cores for a command, unless the user has set the number of threads.

    Call it early: the load while torch is imported determines the initial number of threads.
    libgomp's wait policy is not changed: its default is the fastest on an idle machine.

    Args:
        environ: the environment variables.
    """
    _monitor.governor = None
    _monitor.enabled = THREADS_ENV_VAR not in environ
    _monitor.initial_times = read_cpu_times() if _monitor.enabled else None


def stop_core_monitor() -> None:
    """Stop the monitor at the end of a command, and restore the number of torch threads."""
    governor, _monitor.governor, _monitor.enabled = _monitor.governor, None, False
    if governor is not None:
        import torch

        torch.set_num_threads(governor.max_threads)


def cores_are_shared() -> bool:
    """Whether the command currently uses fewer threads because others use the cores."""
    governor = _monitor.governor
    return governor is not None and governor.threads < governor.max_threads


def initial_num_threads(max_threads: int) -> int:
    """The initial number of threads; ``max_threads`` if the cores are not monitored.

    Args:
        max_threads: number of threads on an idle machine, at least 1; the value of the first call
            is kept.
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
    """Set the number of torch threads of this thread to the number of free cores.

    Meant to be called between two steps or images; fast if there is nothing to do.
    """
    governor = _monitor.governor
    if governor is None:
        return
    if _monitor.lock.acquire(blocking=False):  # another thread is reading now
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
    print(f"threads: {governor.threads} instead of {before}, because other processes leave "
          f"{governor.num_free_cores:.1f} cores free (set {THREADS_ENV_VAR} for a fixed number)",
          file=sys.stderr)
