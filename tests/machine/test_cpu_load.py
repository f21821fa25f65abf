"""Free cores, computed from given CPU time counters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detkit.machine.cpu_load import CpuTimes, count_free_cores, read_cpu_times

TICK = 1 / os.sysconf("SC_CLK_TCK")


def reading(time: float, process_time: float, busy_time: float,
            quota: tuple[float, float] | None = None, cores: int = 4,
            low_priority_time: float = 0) -> CpuTimes:
    return CpuTimes(time, process_time, cores, busy_time, low_priority_time,
                    () if quota is None else (quota, ))


@pytest.mark.parametrize(
    ("before", "after", "free"),
    [
        (reading(0, 0, 0), reading(2, 0, 0), 4.0),
        # 6 CPU seconds used in 2 s, 2 of them by this process: others use 4 / 2 = 2 of 4 cores
        (reading(10, 5, 100), reading(12, 7, 106), 2.0),
        (reading(10, 5, 100), reading(12, 13, 108), 4.0),
        (reading(10, 5, 100), reading(12, 5, 108), 0.0),
        # the clocks of the cores and of the process differ by a tick
        (reading(10, 5, 100), reading(12, 13, 107.9), 4.0),
        # 3 of 4 cores are free; the container may use 2, of which its other processes use 0.5
        (reading(10, 5, 100, (2, 50)), reading(12, 6, 103, (2, 52)), 1.5),
        # others use 4 / 2 = 2 cores, low-priority processes 1.5 of them
        (reading(10, 5, 100), reading(12, 7, 106, low_priority_time=3), 3.5),
        # a low-priority process has ended, so its time is missing
        (reading(10, 5, 100, low_priority_time=30), reading(12, 7, 106, low_priority_time=3), 2.0),
    ],
    ids=["idle", "half is others'", "all its own", "all others'", "more than all", "a quota",
         "others give way", "one has ended"],
)
def test_free_cores_between_two_readings(before: CpuTimes, after: CpuTimes, free: float) -> None:
    assert count_free_cores(before, after) == pytest.approx(free)


def test_two_readings_at_the_same_time_raise() -> None:
    with pytest.raises(ValueError, match="later"):
        count_free_cores(reading(3, 0, 0), reading(3, 0, 0))


def write_proc(
    root: Path, process: int, parent: int, name: str, ticks: str, nice: int = 0
) -> None:
    folder = root / "proc" / str(process)
    folder.mkdir(parents=True)
    # pid (name) state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt, times,
    # priority, nice
    (folder / "stat").write_text(
        f"{process} ({name}) S {parent} 1 1 0 -1 0 9 9 9 9 {ticks} 20 {nice}\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc with three cores, this process, its child and grandchild, and another one."""
    monkeypatch.setattr("detkit.machine.cpu_load.cpu_affinity", lambda: {0, 2})
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "stat").write_text(
        "cpu  9 9 9 9 9 9 9 9 0 0\n"
        "cpu0 100 1000 20 5000 700 3 4 50 8 0\n"
        "cpu1 9000 9000 9000 9 9 9 9 9 9 9\n"
        "cpu2 200 2000 30 5000 700 0 0 0 0 0\n"
        "intr 1 2 3\n")
    write_proc(tmp_path, os.getpid(), 1, "python (x) y", "11 22 100 200")
    write_proc(tmp_path, 4_000_001, os.getpid(), "loader", "1000 2000 0 0")
    write_proc(tmp_path, 4_000_002, 4_000_001, "its child", "10000 20000 0 0")
    write_proc(tmp_path, 4_000_003, 1, "stranger", "500000 500000 0 0", nice=9)
    write_proc(tmp_path, 4_000_004, 1, "gives way", "7 8 0 0", nice=10)
    write_proc(tmp_path, 4_000_005, 4_000_001, "a child's", "1 0 0 0", nice=19)
    return tmp_path


def test_counters_are_read_for_allowed_cores_and_descendants(root: Path) -> None:
    times = read_cpu_times(root)
    assert times is not None
    assert times.cores == 2
    # user + nice + system + irq + softirq + steal of cores 0 and 2, without idle and iowait
    assert times.busy_time == pytest.approx((100 + 1000 + 20 + 3 + 4 + 50 + 200 + 2000 + 30) * TICK)
    # the process with its ended children, the child, the grandchildren
    assert times.process_time == pytest.approx((11 + 22 + 100 + 200 + 3000 + 30000 + 1) * TICK)
    assert times.low_priority_time == pytest.approx((7 + 8) * TICK)


@pytest.mark.parametrize("text", ["", "cpu0 1 2\n", "cpu0 a b c d e f g h\n", "no such line\n"])
def test_unknown_counters_give_no_reading(root: Path, text: str) -> None:
    (root / "proc" / "stat").write_text(text)
    assert read_cpu_times(root) is None


def test_missing_proc_gives_no_reading(tmp_path: Path) -> None:
    assert read_cpu_times(tmp_path) is None
