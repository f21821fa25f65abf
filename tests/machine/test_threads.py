"""The number of threads for given readings; the last test has a real busy process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from detkit.machine import threads
from detkit.machine.cpu_load import CpuTimes
from detkit.machine.threads import (
    MAX_READINGS_TO_INCREASE,
    READINGS_TO_INCREASE,
    ThreadGovernor,
    initial_num_threads,
    start_core_monitor,
    stop_core_monitor,
    update_num_threads,
)


class FakeMachine:
    """A simulated machine on which other processes use ``others`` cores in each second."""

    def __init__(self, cores: int) -> None:
        self.cores, self.others, self.seconds, self.used, self.reads = cores, 0.0, 0.0, 0.0, 0

    def read(self) -> CpuTimes | None:
        self.reads += 1
        # This process keeps one core busy, which must not count.
        return CpuTimes(self.seconds, self.seconds, self.cores, self.used + self.seconds)

    def go(self, governor: ThreadGovernor, others: float, seconds: int) -> list[int]:
        """The number of threads after each second in which others use so many cores."""
        num_threads = []
        for _ in range(seconds):
            self.seconds += 1
            self.used += others
            governor.update(self.seconds)
            num_threads.append(governor.threads)
        return num_threads


def make_governor(cores: int) -> tuple[FakeMachine, ThreadGovernor]:
    machine = FakeMachine(cores)
    return machine, ThreadGovernor(cores, machine.read(), machine.read)


@pytest.mark.parametrize(
    ("cores", "others", "expected"),
    [(2, 0.0, 2), (2, 0.1, 2), (2, 0.9, 1), (2, 2.0, 1), (8, 0.15, 8), (8, 3.0, 5), (8, 3.3, 4),
     (8, 8.0, 1), (1, 1.0, 1)],
)
def test_one_thread_per_free_core(
    cores: int, others: float, expected: int
) -> None:
    machine, governor = make_governor(cores)
    assert machine.go(governor, others, 1) == [expected]
    assert machine.go(governor, others, 20) == [expected] * 20


def test_threads_increase_after_several_idle_readings() -> None:
    machine, governor = make_governor(2)
    assert machine.go(governor, 1.0, 4) == [1] * 4
    assert machine.go(governor, 0.0, READINGS_TO_INCREASE) == [1] * (READINGS_TO_INCREASE - 1) + [2]


def test_one_idle_reading_does_not_increase_threads() -> None:
    machine, governor = make_governor(2)
    machine.go(governor, 1.0, 1)
    for _ in range(10):
        assert machine.go(governor, 0.0,
                          READINGS_TO_INCREASE - 1) == [1] * (READINGS_TO_INCREASE - 1)
        assert machine.go(governor, 1.0, 1) == [1]


def test_load_between_the_thresholds_keeps_the_threads() -> None:
    # A load of 0.15 is too small for a decrease and too large for an increase.
    machine, governor = make_governor(2)
    assert machine.go(governor, 0.15, 10) == [2] * 10
    machine.go(governor, 1.0, 1)
    assert machine.go(governor, 0.15, 10) == [1] * 10


def test_alternating_load_changes_threads_less_often_over_time() -> None:
    machine, governor = make_governor(2)
    num_threads = []
    for _ in range(200):
        num_threads += machine.go(governor, 0.0, 4) + machine.go(governor, 1.0, 4)
    changes = [index for index in range(1, len(num_threads))
               if num_threads[index] != num_threads[index - 1]]
    assert len([index for index in changes if index > 200]) <= 2
    # after a long idle time it is as fast as at first
    machine.go(governor, 0.0, 2 * MAX_READINGS_TO_INCREASE + 50)
    assert machine.go(governor, 1.0, 1) == [1]
    assert machine.go(governor, 0.0, READINGS_TO_INCREASE)[-1] == 2


def test_readings_are_at_least_a_second_apart() -> None:
    machine, governor = make_governor(2)
    before = machine.reads
    for step in range(1000):
        machine.seconds = step / 100
        governor.update(machine.seconds)
    assert machine.reads - before == 9


def test_slow_readings_are_less_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, governor = make_governor(2)
    clock = iter(range(1000))
    monkeypatch.setattr(threads, "perf_counter", lambda: next(clock) / 51)  # a bit under 20 ms
    before = machine.reads
    machine.go(governor, 0.0, 40)
    # 0.5 % of the time: one in 4 s, after the first
    assert machine.reads - before == 1 + 39 // 4


def test_without_readings_the_threads_stay_at_the_maximum() -> None:
    readings = []
    governor = ThreadGovernor(4, None, lambda: readings.append(1))
    assert [governor.update(second) for second in range(10)] == [False] * 10
    assert (governor.threads, len(readings)) == (4, 1)


def test_zero_max_threads_raises() -> None:
    with pytest.raises(ValueError, match="got 0"):
        ThreadGovernor(0)


@pytest.fixture
def monitored() -> Iterator[Callable[[dict[str, str]], None]]:
    """Starts the core monitor as a command does; afterwards it is stopped."""
    before = torch.get_num_threads()
    yield start_core_monitor
    start_core_monitor({"OMP_NUM_THREADS": "1"})
    torch.set_num_threads(before)


def fake_busy_readings(governor_reads: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings two seconds apart in which others used so many of two cores."""
    clock = iter(range(0, 1000, 2))
    total = 0.0

    def read() -> CpuTimes:
        nonlocal total
        total += 2 * governor_reads.pop(0)
        return CpuTimes(next(clock), 0.0, 2, total)

    monkeypatch.setattr(threads, "read_cpu_times", read)
    seconds = iter(range(2, 1000, 2))
    monkeypatch.setattr(threads, "monotonic", lambda: next(seconds))


def test_command_sets_and_reports_the_number_of_torch_threads(
    monitored: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_busy_readings([0, 1, 1, 0, 0, 0], monkeypatch)
    monitored({})
    torch.set_num_threads(initial_num_threads(2))
    assert torch.get_num_threads() == 1
    assert "threads: 1 instead of 2" in capsys.readouterr().err
    assert initial_num_threads(torch.get_num_threads()) == 1  # a second call gives the same
    num_threads = []
    for _ in range(4):
        update_num_threads()
        num_threads.append(torch.get_num_threads())
    assert num_threads == [1, 1, 1, 2]
    assert capsys.readouterr().err.count("\n") == 1


def test_end_of_a_command_restores_the_threads(
    monitored: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_busy_readings([0, 1], monkeypatch)
    monitored({})
    torch.set_num_threads(initial_num_threads(2))
    assert (torch.get_num_threads(), threads.cores_are_shared()) == (1, True)
    stop_core_monitor()
    assert (torch.get_num_threads(), threads.cores_are_shared()) == (2, False)
    assert initial_num_threads(4) == 4


def test_other_threads_get_the_same_number(
    monitored: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_busy_readings([0, 0, 1, 1, 1], monkeypatch)
    monitored({})
    torch.set_num_threads(initial_num_threads(2))
    num_threads = []

    def compute() -> None:
        update_num_threads()
        num_threads.append(torch.get_num_threads())

    other = threading.Thread(target=compute)
    other.start()
    other.join()
    assert (num_threads, torch.get_num_threads()) == ([1], 2)
    update_num_threads()
    assert torch.get_num_threads() == 1


def test_omp_num_threads_is_kept(
    monitored: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_busy_readings([], monkeypatch)  # a reading would fail
    monitored({"OMP_NUM_THREADS": "2"})
    torch.set_num_threads(2)
    update_num_threads()
    assert (initial_num_threads(2), torch.get_num_threads()) == (2, 2)


def test_program_without_command_keeps_its_threads(
    monitored: Callable[[dict[str, str]], None]
) -> None:
    code = (
        "import torch; from detkit.machine.threads import initial_num_threads, update_num_threads; "
        "torch.set_num_threads(2); update_num_threads(); "
        "print(initial_num_threads(2), torch.get_num_threads())")
    environ = {name: value for name, value in os.environ.items()
               if name != threads.THREADS_ENV_VAR}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)
    assert done.stdout == "2 2\n", done.stderr


@pytest.mark.slow
def test_busy_process_is_detected_and_own_load_is_not() -> None:
    cores = len(os.sched_getaffinity(0))
    spin = [sys.executable, "-c", "while True: pass"]

    def free_within(seconds: float) -> float:
        governor = ThreadGovernor(cores + 1, threads.read_cpu_times())
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass  # this process's own load
        governor.update(time.monotonic())
        assert governor.num_free_cores is not None
        return governor.num_free_cores

    alone = free_within(3)
    # Started by a shell that ends, so it is not a child of this process.
    shell = subprocess.run(["sh", "-c", '"$@" >/dev/null 2>&1 & echo $!', "sh", *spin],
                           capture_output=True, text=True, check=True)
    try:
        shared = free_within(3)
    finally:
        os.kill(int(shell.stdout), 9)
    # It gets a core, or less beside other busy processes, which then count.
    assert shared < cores - 0.3
    assert alone > shared or alone < cores - 0.5
