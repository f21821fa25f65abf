"""The number of cores that this process may use, by CPU affinity and cgroup quotas."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True)
class Quota:
    """A limit on the CPU time of a cgroup.

    Args:
        cores: the limit in cores; may be fractional.
        usage_file: the file with the CPU time that the group has used.
    """

    cores: float
    usage_file: Path

    def cpu_time(self) -> float:
        """CPU time that the processes of the group have used, in seconds.

        Raises:
            OSError, ValueError: the file cannot be read or parsed.
        """
        text = self.usage_file.read_text(encoding="ascii")
        if self.usage_file.name == "cpuacct.usage":
            return int(text) / 1e9
        counts = dict(line.split() for line in text.splitlines())
        return int(counts.get("usage_usec", "")) / 1e6


def num_cores() -> int:
    """The number of cores that this process may use, at least 1."""
    limits = [quota.cores for quota in read_cpu_quotas()]
    # A quota of 1.5 cores is used best by two threads, which are throttled now and then.
    return max(min([len(cpu_affinity()), *(-int(-limit // 1) for limit in limits)]), 1)


def cpu_affinity() -> set[int]:
    """The ids of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def read_cpu_quotas(root: Path = ROOT) -> list[Quota]:
    """The quotas of this process's cgroup and its parents, versions 1 and 2; may be empty.

    Args:
        root: the folder with ``proc`` and ``sys``.
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
    """The existing folders from a cgroup up to the root of its hierarchy.

    In a container the cgroup may have its path on the host, which does not exist; the root is then
    the cgroup of the container.
    """
    inner = mount / group.lstrip("/")
    for folder in (inner, *inner.parents):
        if folder.is_dir() and (folder == mount or mount in folder.parents):
            yield folder


def _read_ints(file: Path) -> list[int]:
    """The integers in a file; empty if the file does not exist or contains 'max'."""
    try:
        return [int(word) for word in file.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []
