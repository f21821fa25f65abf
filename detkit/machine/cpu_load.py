"""The number of cores that other processes leave free.

The CPU time of this process and its descendants does not count as use by others, so the result does
not depend on the threads and data loaders of a run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from detkit.machine.cpu_limits import ROOT, cpu_affinity, read_cpu_quotas

# Busy time in a line of /proc/stat: user, nice, system, irq, softirq, steal. Steal is the use of
# the core by other virtual machines; guest time is already part of user.
_BUSY_FIELDS = (0, 1, 2, 5, 6, 7)
# A process whose nice value is higher by this much gets a tenth of the time and does not delay
# this process. With a smaller difference it keeps a core long enough to delay other threads.
_NICE_MARGIN = 10


@dataclass(frozen=True)
class CpuTimes:
    """CPU time counters at one moment, in seconds.

    Args:
        time: the monotonic clock.
        process_time: CPU time of this process and its descendants.
        cores: number of cores that the process may run on.
        busy_time: CPU time of all processes on these cores.
        low_priority_time: CPU time of running processes with a priority (``nice``) so low that they
            do not delay this one.
        quotas: for each quota, its cores and the CPU time that its cgroup has used.
    """

    time: float
    process_time: float
    cores: int
    busy_time: float
    low_priority_time: float = 0.0
    quotas: tuple[tuple[float, float], ...] = field(default=())


def count_free_cores(before: CpuTimes, after: CpuTimes) -> float:
    """The number of cores that other processes left free between two readings; fractional.

    Raises:
        ValueError: ``after`` is not later than ``before``.
    """
    elapsed = after.time - before.time
    if elapsed <= 0:
        raise ValueError(f"readings at {before.time} and {after.time}, expected a later second one")
    process_time = after.process_time - before.process_time
    # This time decreases when such a process ends.
    low_priority_time = max(0.0, after.low_priority_time - before.low_priority_time)
    limits = [(float(after.cores), after.busy_time - before.busy_time - low_priority_time)]
    if len(after.quotas) == len(before.quotas):
        limits += [(cores, used - earlier) for (cores, used), (_, earlier)
                   in zip(after.quotas, before.quotas)]
    # The counters have different clocks, so the time used by others may be slightly negative.
    return max(0.0,
               min(cores - max(0.0, (used - process_time) / elapsed) for cores, used in limits))


def read_cpu_times(root: Path = ROOT) -> CpuTimes | None:
    """Read the counters; None if the system does not have them.

    Args:
        root: the folder with ``proc`` and ``sys``.
    """
    try:
        core_ids = cpu_affinity()
        # The clock first, so that the reading itself does not count as idle time.
        now = time.monotonic()
        busy_time = _read_busy_time(root, core_ids)
        quota_times = tuple((quota.cores, quota.cpu_time()) for quota in read_cpu_quotas(root))
        process_time, low_priority_time = _read_process_times(root)
        return CpuTimes(now, process_time, len(core_ids), busy_time, low_priority_time, quota_times)
    except (OSError, ValueError, IndexError):
        return None


def _read_busy_time(root: Path, core_ids: Iterable[int]) -> float:
    core_names = {f"cpu{core_id}" for core_id in core_ids}
    total = num_found = 0
    with (root / "proc/stat").open(encoding="ascii") as lines:
        for line in lines:
            name, *ticks = line.split()
            if name in core_names:
                num_found += 1
                total += sum(int(ticks[field_index]) for field_index in _BUSY_FIELDS)
            elif num_found and not name.startswith("cpu"):
                break
    if num_found < len(core_names):
        raise ValueError(f"/proc/stat has {num_found} of {len(core_names)} cores")
    return total / os.sysconf("SC_CLK_TCK")


def _read_process_times(root: Path) -> tuple[float, float]:
    """CPU time of this process and its descendants, also ended ones; and of all low-priority
    processes."""
    ticks: dict[int, int] = {}
    nice: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for process in (root / "proc").iterdir():
        if process.name.isdigit():
            try:
                # The second field, the name in parentheses, may contain spaces and parentheses.
                fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue  # it has ended; its time is now part of its parent's
            # user and system time, of the process and of its children that have ended
            ticks[int(process.name)] = sum(int(word) for word in fields[11:15])
            nice[int(process.name)] = int(fields[16])
            children.setdefault(int(fields[1]), []).append(int(process.name))
    total, pending = 0, [os.getpid()]
    while pending:
        process_id = pending.pop()
        if process_id in ticks:
            total += ticks.pop(process_id)
            pending += children.get(process_id, [])
        elif process_id == os.getpid():
            raise ValueError("/proc does not list this process")
    low_priority_ticks = sum(process_ticks for process_id, process_ticks in ticks.items()
                             if nice[process_id] >= nice[os.getpid()] + _NICE_MARGIN)
    tick = 1 / os.sysconf("SC_CLK_TCK")
    return total * tick, low_priority_ticks * tick
