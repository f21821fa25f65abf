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
from detkit.machine.load import Reading
from detkit.machine.threads import (
    MOST_READINGS_UP,
    READINGS_UP,
    ThreadGovernor,
    first_threads,
    settle_threads,
    unwatch_cores,
    watch_cores,
)


class Machine:
    """A machine of some cores whose others use what ``others`` says, each second."""

    def __init__(self, cores: int) -> None:
        self.cores, self.others, self.seconds, self.used, self.reads = cores, 0.0, 0.0, 0.0, 0

    def read(self) -> Reading | None:
        self.reads += 1
        # This process keeps one core busy; that must not count.
        return Reading(self.seconds, self.seconds, self.cores, self.used + self.seconds)

    def go(self, governor: ThreadGovernor, others: float, seconds: int) -> list[int]:
        """The threads after each of some seconds in which others use so many cores."""
        found = []
        for _ in range(seconds):
            self.seconds += 1
            self.used += others
            governor.update(self.seconds)
            found.append(governor.threads)
        return found


def begin(cores: int) -> tuple[Machine, ThreadGovernor]:
    machine = Machine(cores)
    return machine, ThreadGovernor(cores, machine.read(), machine.read)


@pytest.mark.parametrize(
    ("cores", "others", "number"),
    [(2, 0.0, 2), (2, 0.1, 2), (2, 0.9, 1), (2, 2.0, 1), (8, 0.15, 8), (8, 3.0, 5), (8, 3.3, 4),
     (8, 8.0, 1), (1, 1.0, 1)],
)
def test_one_thread_computes_for_each_core_that_is_free(
    cores: int, others: float, number: int
) -> None:
    machine, governor = begin(cores)
    assert machine.go(governor, others, 1) == [number]
    assert machine.go(governor, others, 20) == [number] * 20


def test_the_threads_come_back_when_the_cores_have_been_free_for_some_seconds() -> None:
    machine, governor = begin(2)
    assert machine.go(governor, 1.0, 4) == [1] * 4
    assert machine.go(governor, 0.0, READINGS_UP) == [1] * (READINGS_UP - 1) + [2]


def test_a_moment_without_others_brings_no_threads_back() -> None:
    machine, governor = begin(2)
    machine.go(governor, 1.0, 1)
    for _ in range(10):
        assert machine.go(governor, 0.0, READINGS_UP - 1) == [1] * (READINGS_UP - 1)
        assert machine.go(governor, 1.0, 1) == [1]


def test_between_the_two_limits_nothing_changes() -> None:
    # 0.15 of a core in use costs less than a thread, and is too much to come back at
    machine, governor = begin(2)
    assert machine.go(governor, 0.15, 10) == [2] * 10
    machine.go(governor, 1.0, 1)
    assert machine.go(governor, 0.15, 10) == [1] * 10


def test_others_that_come_and_go_change_the_number_less_and_less_often() -> None:
    machine, governor = begin(2)
    found = []
    for _ in range(200):
        found += machine.go(governor, 0.0, 4) + machine.go(governor, 1.0, 4)
    changes = [place for place in range(1, len(found)) if found[place] != found[place - 1]]
    assert len([place for place in changes if place > 200]) <= 2
    # and after a long quiet time it is as quick as ever
    machine.go(governor, 0.0, 2 * MOST_READINGS_UP + 50)
    assert machine.go(governor, 1.0, 1) == [1]
    assert machine.go(governor, 0.0, READINGS_UP)[-1] == 2


def test_readings_are_a_second_apart_however_short_the_steps() -> None:
    machine, governor = begin(2)
    before = machine.reads
    for step in range(1000):
        machine.seconds = step / 100
        governor.update(machine.seconds)
    assert machine.reads - before == 9


def test_slow_readings_come_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, governor = begin(2)
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


def test_no_threads_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="got 0"):
        ThreadGovernor(0)


@pytest.fixture
def watched() -> Iterator[Callable[[dict[str, str]], None]]:
    """Begins to watch as a command does; afterwards nobody watches, and the threads are as before.
    """
    before = torch.get_num_threads()
    yield watch_cores
    watch_cores({"OMP_NUM_THREADS": "1"})
    torch.set_num_threads(before)


def busy_for(governor_reads: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let readings two seconds apart say that others used so many of two cores since the last."""
    clock = iter(range(0, 1000, 2))
    total = 0.0

    def read() -> Reading:
        nonlocal total
        total += 2 * governor_reads.pop(0)
        return Reading(next(clock), 0.0, 2, total)

    monkeypatch.setattr(threads, "read_load", read)
    seconds = iter(range(2, 1000, 2))
    monkeypatch.setattr(threads, "monotonic", lambda: next(seconds))


def test_a_command_settles_torchs_threads_and_says_so(
    watched: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    busy_for([0, 1, 1, 0, 0, 0], monkeypatch)
    watched({})
    torch.set_num_threads(first_threads(2))
    assert torch.get_num_threads() == 1
    assert "threads: 1 in place of 2" in capsys.readouterr().err
    assert first_threads(torch.get_num_threads()) == 1  # asked again, it remembers the two
    found = []
    for _ in range(4):
        settle_threads()
        found.append(torch.get_num_threads())
    assert found == [1, 1, 1, 2]
    assert capsys.readouterr().err.count("\n") == 1


def test_the_end_of_a_command_gives_the_threads_back(
    watched: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy_for([0, 1], monkeypatch)
    watched({})
    torch.set_num_threads(first_threads(2))
    assert (torch.get_num_threads(), threads.cores_are_shared()) == (1, True)
    unwatch_cores()
    assert (torch.get_num_threads(), threads.cores_are_shared()) == (2, False)
    assert first_threads(4) == 4


def test_another_thread_of_the_process_gets_the_number_too(
    watched: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy_for([0, 0, 1, 1, 1], monkeypatch)
    watched({})
    torch.set_num_threads(first_threads(2))
    found = []

    def compute() -> None:
        settle_threads()
        found.append(torch.get_num_threads())

    other = threading.Thread(target=compute)
    other.start()
    other.join()
    assert (found, torch.get_num_threads()) == ([1], 2)
    settle_threads()
    assert torch.get_num_threads() == 1


def test_a_number_that_the_user_has_set_stands(
    watched: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy_for([], monkeypatch)  # a reading would fail
    watched({"OMP_NUM_THREADS": "2"})
    torch.set_num_threads(2)
    settle_threads()
    assert (first_threads(2), torch.get_num_threads()) == (2, 2)


def test_a_program_that_runs_no_command_keeps_its_threads(
    watched: Callable[[dict[str, str]], None]
) -> None:
    code = ("import torch; from detkit.machine.threads import first_threads, settle_threads; "
            "torch.set_num_threads(2); settle_threads(); "
            "print(first_threads(2), torch.get_num_threads())")
    environ = {name: value for name, value in os.environ.items()
               if name != threads.THREADS_VARIABLE}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)
    assert done.stdout == "2 2\n", done.stderr


@pytest.mark.slow
def test_a_busy_process_is_seen_and_own_work_is_not() -> None:
    number = len(os.sched_getaffinity(0))
    spin = [sys.executable, "-c", "while True: pass"]

    def free_within(seconds: float) -> float:
        governor = ThreadGovernor(number + 1, threads.read_load())
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass  # this process's own use of a core
        governor.update(time.monotonic())
        assert governor.free is not None
        return governor.free

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
