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

from detkit.machine.cores import ROOT, affinity, quotas

# user, nice, system, irq, softirq, steal: what a line of /proc/stat counts as not idle. The
# hypervisor's part, steal, is other machines' use of the core; guest time is in user already.
_IN_USE = (0, 1, 2, 5, 6, 7)
# So much nicer a process gives way: Linux gives it a tenth of the time. One that is less nice
# keeps a core long enough to hold threads up that wait for each other.
_GIVES_WAY = 10


@dataclass(frozen=True)
class Reading:
    """Counters at one moment, in seconds.

    Args:
        time: on the monotonic clock.
        own: CPU time of this process and its descendants.
        cores: how many cores the process may run on.
        in_use: CPU time that anyone spent on these cores.
        yielding: CPU time of other processes, still there, of so low a priority (``nice``) that
            they give way to this one.
        quotas: for each quota, its cores and the CPU time that its group has used.
    """

    time: float
    own: float
    cores: int
    in_use: float
    yielding: float = 0.0
    quotas: tuple[tuple[float, float], ...] = field(default=())


def free_cores(before: Reading, after: Reading) -> float:
    """Cores, from 0 to all, that others left to this process between two readings.

    Raises:
        ValueError: no time passed between the readings.
    """
    passed = after.time - before.time
    if passed <= 0:
        raise ValueError(f"readings at {before.time} and {after.time}, expected a later second one")
    own = after.own - before.own
    # The time of those that give way falls where one of them ends.
    yielding = max(0.0, after.yielding - before.yielding)
    limits = [(float(after.cores), after.in_use - before.in_use - yielding)]
    if len(after.quotas) == len(before.quotas):
        limits += [(cores, used - earlier) for (cores, used), (_, earlier)
                   in zip(after.quotas, before.quotas)]
    # Clocks of two kinds: what others used may come out a little below nothing.
    return max(0.0, min(cores - max(0.0, (used - own) / passed) for cores, used in limits))


def read_load(root: Path = ROOT) -> Reading | None:
    """Read the counters now; None where the system has none that are known here.

    Args:
        root: the folder that holds ``proc`` and ``sys``.
    """
    try:
        allowed = affinity()
        # The time first: what runs during the reading is then never taken for an idle core.
        now = time.monotonic()
        in_use = _in_use(root, allowed)
        counts = tuple((quota.cores, quota.used()) for quota in quotas(root))
        own, yielding = _own_and_yielding(root)
        return Reading(now, own, len(allowed), in_use, yielding, counts)
    except (OSError, ValueError, IndexError):
        return None


def _in_use(root: Path, allowed: Iterable[int]) -> float:
    wanted = {f"cpu{number}" for number in allowed}
    total = found = 0
    with (root / "proc/stat").open(encoding="ascii") as lines:
        for line in lines:
            name, *ticks = line.split()
            if name in wanted:
                found += 1
                total += sum(int(ticks[place]) for place in _IN_USE)
            elif found and not name.startswith("cpu"):
                break
    if found < len(wanted):
        raise ValueError(f"/proc/stat names {found} of {len(wanted)} cores")
    return total / os.sysconf("SC_CLK_TCK")


def _own_and_yielding(root: Path) -> tuple[float, float]:
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
    total, waiting = 0, [os.getpid()]
    while waiting:
        process_id = waiting.pop()
        if process_id in ticks:
            total += ticks.pop(process_id)
            waiting += children.get(process_id, [])
        elif process_id == os.getpid():
            raise ValueError("/proc does not name this process")
    others = sum(spent for process_id, spent in ticks.items()
                 if nice[process_id] >= nice[os.getpid()] + _GIVES_WAY)
    tick = 1 / os.sysconf("SC_CLK_TCK")
    return total * tick, others * tick
