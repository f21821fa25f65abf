"""CPU quotas of cgroups, read from files in Linux's format."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkit.machine import cpu_limits as machine
from detkit.machine.cpu_limits import num_cores, read_cpu_quotas

V2, V1 = "0::/{}\n", "4:cpu,cpuacct:/{}\n0::/\n"


def write(root: Path, group: str, files: dict[str, str]) -> Path:
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(group)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def usec(seconds: int) -> str:
    return f"usage_usec {seconds}000000\nuser_usec 1\n"


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("", {}, []),
        (V2.format(""), {"cpu.max": "max 100000\n", "cpu.stat": usec(1)}, []),
        (V2.format(""), {"cpu.max": "250000 100000\n", "cpu.stat": usec(7)}, [(2.5, 7)]),
        (V2.format("a/b"), {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000",
                            "a/cpu.stat": usec(9), "other/cpu.max": "1 2"}, [(3.0, 9)]),
        (V2.format("of/the/host"), {"cpu.max": "100000 100000", "cpu.stat": usec(3)}, [(1.0, 3)]),
        (V1.format("job"), {"cpu/job/cpu.cfs_quota_us": "150000\n",
                            "cpu/job/cpu.cfs_period_us": "100000\n",
                            "cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n",
                            "cpuacct/job/cpuacct.usage": "5000000000\n"}, [(1.5, 5)]),
        (V2.format(""), {"cpu.max": "nonsense\n"}, []),
    ],
    ids=["no groups", "no limit", "a container's", "a group around it", "the host's name for it",
         "version 1", "nonsense"],
)
def test_quotas_and_their_cpu_time(
    tmp_path: Path, group: str, files: dict[str, str], expected: list[tuple[float, float]]
) -> None:
    quotas = read_cpu_quotas(write(tmp_path, group, files))
    assert [(quota.cores, quota.cpu_time()) for quota in quotas] == expected


@pytest.mark.parametrize(("limits", "expected"), [([], 8), ([2.0], 2), ([9.0, 3.5], 4), ([0.5], 1)])
def test_num_cores_is_the_minimum_of_affinity_and_quota(
    monkeypatch: pytest.MonkeyPatch, limits: list[float], expected: int
) -> None:
    monkeypatch.setattr(machine, "cpu_affinity", lambda: set(range(8)))
    monkeypatch.setattr(machine, "read_cpu_quotas",
                        lambda: [machine.Quota(limit, Path("unread")) for limit in limits])
    assert num_cores() == expected
