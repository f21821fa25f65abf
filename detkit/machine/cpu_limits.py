"""How many cores this process may use: by affinity, and by the quotas of its control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True)
class Quota:
    """A limit on the CPU time of a control group.

    Args:
        cores: how many cores' time the group may use.
        usage_file: the file that counts what it has used.
    """

    cores: float
    usage_file: Path

    def cpu_time(self) -> float:
        """CPU seconds that the group's processes have used so far.

        Raises:
            OSError, ValueError: the file cannot be read, or holds something else.
        """
        text = self.usage_file.read_text(encoding="ascii")
        if self.usage_file.name == "cpuacct.usage":
            return int(text) / 1e9
        counts = dict(line.split() for line in text.splitlines())
        return int(counts.get("usage_usec", "")) / 1e6


def num_cores() -> int:
    """How many cores this process may use, at least 1: the fewer of affinity and quota."""
    limits = [quota.cores for quota in read_cpu_quotas()]
    # A quota of 1.5 cores is best used by two threads, which pause now and then.
    return max(min([len(cpu_affinity()), *(-int(-limit // 1) for limit in limits)]), 1)


def cpu_affinity() -> set[int]:
    """The numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def read_cpu_quotas(root: Path = ROOT) -> list[Quota]:
    """The limits on this process's control group and those around it; empty without any.

    Args:
        root: the folder that holds ``proc`` and ``sys``.
    """
    mount = root / "sys/fs/cgroup"
    result = []
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        groups = []
    cgroup_paths = {
        controllers: path
        for _, controllers, path in (line.split(":", 2) for line in groups if line.count(":") >= 2)
    }
    path_by_controller = {
        name: path
        for controllers, path in cgroup_paths.items()
        for name in controllers.split(",")
    }
    for folder in _group_and_parents(mount, path_by_controller.get("", "/")):
        limit = _read_ints(folder / "cpu.max")
        if len(limit) == 2 and limit[1] > 0:
            result.append(Quota(limit[0] / limit[1], folder / "cpu.stat"))
    for folder in _group_and_parents(mount / "cpu", path_by_controller.get("cpu", "/")):
        limit = _read_ints(folder / "cpu.cfs_quota_us") + _read_ints(folder / "cpu.cfs_period_us")
        if len(limit) == 2 and limit[0] > 0 and limit[1] > 0:
            usage_file = mount / "cpuacct" / folder.relative_to(mount / "cpu") / "cpuacct.usage"
            result.append(Quota(limit[0] / limit[1], usage_file))
    return result


def _group_and_parents(mount: Path, group: str) -> Iterator[Path]:
    """The folders from a control group up to the root of its hierarchy, those that are there.

    In a container the group may be named as its host sees it; its own is then the root.
    """
    inner = mount / group.lstrip("/")
    for folder in (inner, *inner.parents):
        if folder.is_dir() and (folder == mount or mount in folder.parents):
            yield folder


def _read_ints(file: Path) -> list[int]:
    """The whole numbers of a file; empty where it is not there or says 'max'."""
    try:
        return [int(word) for word in file.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []
