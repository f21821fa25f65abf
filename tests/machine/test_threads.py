"""The number of threads, from readings that are made by hand; the last test has a real process."""

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
    """A machine of some cores whose others use what ``others`` says, each second."""

    def __init__(self, cores: int) -> None:
        self.cores, self.others, self.seconds, self.used, self.reads = cores, 0.0, 0.0, 0.0, 0

    def read(self) -> CpuTimes | None:
        self.reads += 1
        # This process keeps one core busy; that must not count.
        return CpuTimes(self.seconds, self.seconds, self.cores, self.used + self.seconds)

    def go(self, governor: ThreadGovernor, others: float, seconds: int) -> list[int]:
        """The threads after each of some seconds in which others use so many cores."""
        found = []
        for _ in range(seconds):
            self.seconds += 1
            self.used += others
            governor.update(self.seconds)
            found.append(governor.threads)
        return found


def make_governor(cores: int) -> tuple[FakeMachine, ThreadGovernor]:
    machine = FakeMachine(cores)
    return machine, ThreadGovernor(cores, machine.read(), machine.read)


@pytest.mark.parametrize(
    ("cores", "others", "number"),
    [(2, 0.0, 2), (2, 0.1, 2), (2, 0.9, 1), (2, 2.0, 1), (8, 0.15, 8), (8, 3.0, 5), (8, 3.3, 4),
     (8, 8.0, 1), (1, 1.0, 1)],
)
def test_one_thread_per_free_core(
    cores: int, others: float, number: int
) -> None:
    machine, governor = make_governor(cores)
    assert machine.go(governor, others, 1) == [number]
    assert machine.go(governor, others, 20) == [number] * 20


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


def test_load_between_the_thresholds_changes_nothing() -> None:
    # 0.15 of a core in use costs less than a thread, and is too much to come back at
    machine, governor = make_governor(2)
    assert machine.go(governor, 0.15, 10) == [2] * 10
    machine.go(governor, 1.0, 1)
    assert machine.go(governor, 0.15, 10) == [1] * 10


def test_alternating_load_changes_threads_less_and_less_often() -> None:
    machine, governor = make_governor(2)
    found = []
    for _ in range(200):
        found += machine.go(governor, 0.0, 4) + machine.go(governor, 1.0, 4)
    changes = [index for index in range(1, len(found)) if found[index] != found[index - 1]]
    assert len([index for index in changes if index > 200]) <= 2
    # and after a long quiet time it is as quick as ever
    machine.go(governor, 0.0, 2 * MAX_READINGS_TO_INCREASE + 50)
    assert machine.go(governor, 1.0, 1) == [1]
    assert machine.go(governor, 0.0, READINGS_TO_INCREASE)[-1] == 2


def test_readings_are_a_second_apart_however_short_the_steps() -> None:
    machine, governor = make_governor(2)
    before = machine.reads
    for step in range(1000):
        machine.seconds = step / 100
        governor.update(machine.seconds)
    assert machine.reads - before == 9


def test_slow_readings_come_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, governor = make_governor(2)
    clock = iter(range(1000))
    monkeypatch.setattr(threads, "perf_counter", lambda: next(clock) / 51)  # a bit under 20 ms
    before = machine.reads
    machine.go(governor, 0.0, 40)
    # half a hundredth of the time: one each 4 s, after the first
    assert machine.reads - before == 1 + 39 // 4


def test_without_readings_the_number_stays() -> None:
    asked = []
    governor = ThreadGovernor(4, None, lambda: asked.append(1))
    assert [governor.update(second) for second in range(10)] == [False] * 10
    assert (governor.threads, len(asked)) == (4, 1)


def test_zero_max_threads_raises() -> None:
    with pytest.raises(ValueError, match="got 0"):
        ThreadGovernor(0)


@pytest.fixture
def monitored() -> Iterator[Callable[[dict[str, str]], None]]:
    """Begins to watch as a command does; afterwards nobody watches, and the threads are as before.
    """
    before = torch.get_num_threads()
    yield start_core_monitor
    start_core_monitor({"OMP_NUM_THREADS": "1"})
    torch.set_num_threads(before)


def fake_busy_readings(governor_reads: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let readings two seconds apart say that others used so many of two cores since the last."""
    clock = iter(range(0, 1000, 2))
    total = 0.0

    def read() -> CpuTimes:
        nonlocal total
        total += 2 * governor_reads.pop(0)
        return CpuTimes(next(clock), 0.0, 2, total)

    monkeypatch.setattr(threads, "read_cpu_times", read)
    seconds = iter(range(2, 1000, 2))
    monkeypatch.setattr(threads, "monotonic", lambda: next(seconds))


def test_a_command_settles_torchs_threads_and_says_so(
    monitored: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_busy_readings([0, 1, 1, 0, 0, 0], monkeypatch)
    monitored({})
    torch.set_num_threads(initial_num_threads(2))
    assert torch.get_num_threads() == 1
    assert "threads: 1 in place of 2" in capsys.readouterr().err
    assert initial_num_threads(torch.get_num_threads()) == 1  # asked again, it remembers the two
    found = []
    for _ in range(4):
        update_num_threads()
        found.append(torch.get_num_threads())
    assert found == [1, 1, 1, 2]
    assert capsys.readouterr().err.count("\n") == 1


def test_the_end_of_a_command_gives_the_threads_back(
    monitored: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_busy_readings([0, 1], monkeypatch)
    monitored({})
    torch.set_num_threads(initial_num_threads(2))
    assert (torch.get_num_threads(), threads.cores_are_shared()) == (1, True)
    stop_core_monitor()
    assert (torch.get_num_threads(), threads.cores_are_shared()) == (2, False)
    assert initial_num_threads(4) == 4


def test_another_thread_of_the_process_gets_the_number_too(
    monitored: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_busy_readings([0, 0, 1, 1, 1], monkeypatch)
    monitored({})
    torch.set_num_threads(initial_num_threads(2))
    found = []

    def compute() -> None:
        update_num_threads()
        found.append(torch.get_num_threads())

    other = threading.Thread(target=compute)
    other.start()
    other.join()
    assert (found, torch.get_num_threads()) == ([1], 2)
    update_num_threads()
    assert torch.get_num_threads() == 1


def test_a_number_that_the_user_has_set_stands(
    monitored: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_busy_readings([], monkeypatch)  # a reading would fail
    monitored({"OMP_NUM_THREADS": "2"})
    torch.set_num_threads(2)
    update_num_threads()
    assert (initial_num_threads(2), torch.get_num_threads()) == (2, 2)


def test_a_program_that_runs_no_command_keeps_its_threads(
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
def test_busy_process_is_detected_and_own_work_is_not() -> None:
    number = len(os.sched_getaffinity(0))
    spin = [sys.executable, "-c", "while True: pass"]

    def free_within(seconds: float) -> float:
        governor = ThreadGovernor(number + 1, threads.read_cpu_times())
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass  # this process's own use of a core
        governor.update(time.monotonic())
        assert governor.num_free_cores is not None
        return governor.num_free_cores

    alone = free_within(3)
    # Started by a shell that ends: not this process's child any more.
    shell = subprocess.run(["sh", "-c", '"$@" >/dev/null 2>&1 & echo $!', "sh", *spin],
                           capture_output=True, text=True, check=True)
    try:
        beside = free_within(3)
    finally:
        os.kill(int(shell.stdout), 9)
    # It wants a core; with enough other strangers about it gets less, but then they are seen.
    assert beside < number - 0.3
    assert alone > beside or alone < number - 0.5
