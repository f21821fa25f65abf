"""How many of the cores that this process may use are free of other processes.

What this process and those that it started use is not counted as use by others, so that a run
sees the same number whatever its own threads and data loaders do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from detkit.machine.cpu_limits import ROOT, cpu_affinity, read_cpu_quotas

# user, nice, system, irq, softirq, steal: what a line of /proc/stat counts as not idle. The
# hypervisor's part, steal, is other machines' use of the core; guest time is in user already.
_BUSY_FIELDS = (0, 1, 2, 5, 6, 7)
# So much nicer a process gives way: Linux gives it a tenth of the time. One that is less nice
# keeps a core long enough to hold threads up that wait for each other.
_NICE_MARGIN = 10


@dataclass(frozen=True)
class CpuTimes:
    """Counters at one moment, in seconds.

    Args:
        time: on the monotonic clock.
        process_time: CPU time of this process and its descendants.
        cores: how many cores the process may run on.
        busy_time: CPU time that anyone spent on these cores.
        low_priority_time: CPU time of other processes, still there, of so low a priority (``nice``)
            that they give way to this one.
        quotas: for each quota, its cores and the CPU time that its group has used.
    """

    time: float
    process_time: float
    cores: int
    busy_time: float
    low_priority_time: float = 0.0
    quotas: tuple[tuple[float, float], ...] = field(default=())


def count_free_cores(before: CpuTimes, after: CpuTimes) -> float:
    """Cores, from 0 to all, that others left to this process between two readings.

    Raises:
        ValueError: no time passed between the readings.
    """
    elapsed = after.time - before.time
    if elapsed <= 0:
        raise ValueError(f"readings at {before.time} and {after.time}, expected a later second one")
    process_time = after.process_time - before.process_time
    # The time of those that give way falls where one of them ends.
    low_priority_time = max(0.0, after.low_priority_time - before.low_priority_time)
    limits = [(float(after.cores), after.busy_time - before.busy_time - low_priority_time)]
    if len(after.quotas) == len(before.quotas):
        limits += [(cores, used - earlier) for (cores, used), (_, earlier)
                   in zip(after.quotas, before.quotas)]
    # Clocks of two kinds: what others used may come out a little below nothing.
    return max(0.0,
               min(cores - max(0.0, (used - process_time) / elapsed) for cores, used in limits))


def read_cpu_times(root: Path = ROOT) -> CpuTimes | None:
    """Read the counters now; None where the system has none that are known here.

    Args:
        root: the folder that holds ``proc`` and ``sys``.
    """
    try:
        core_ids = cpu_affinity()
        # The time first: what runs during the reading is then never taken for an idle core.
        now = time.monotonic()
        busy_time = _read_busy_time(root, core_ids)
        quota_times = tuple((quota.cores, quota.cpu_time()) for quota in read_cpu_quotas(root))
        process_time, low_priority_time = _read_process_times(root)
        return CpuTimes(now, process_time, len(core_ids), busy_time, low_priority_time, quota_times)
    except (OSError, ValueError, IndexError):
        return None


def _read_busy_time(root: Path, core_ids: Iterable[int]) -> float:
    core_names = {f"cpu{number}" for number in core_ids}
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
        raise ValueError(f"/proc/stat names {num_found} of {len(core_names)} cores")
    return total / os.sysconf("SC_CLK_TCK")


def _read_process_times(root: Path) -> tuple[float, float]:
    """CPU time of this process with its descendants, those that have ended too; and of all other
    processes that give way to it."""
    ticks: dict[int, int] = {}
    nice: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for process in (root / "proc").iterdir():
        if process.name.isdigit():
            try:
                # The second field, the name in brackets, may hold spaces and brackets.
                fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue  # it ended meanwhile; its parent counts it from now on
            # user and system, and the same of children that have ended and were waited for
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
            raise ValueError("/proc does not name this process")
    low_priority_ticks = sum(process_ticks for process_id, process_ticks in ticks.items()
                             if nice[process_id] >= nice[os.getpid()] + _NICE_MARGIN)
    tick = 1 / os.sysconf("SC_CLK_TCK")
    return total * tick, low_priority_ticks * tick
