"""Run one case of an attack in a separate process, under limits."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

from inside import run_in_child
from outcome import Case, CaseDirs, Outcome, snapshot_files

# Seconds of processor time that a case may take, and of waiting without any: neither depends on
# what else the machine does. A case is built within its own limit.
CPU_LIMIT = 10.0
IDLE_LIMIT = 5.0
BUILD_LIMIT = 120.0
MEMORY_KILL = 3 << 30


def run_case(
    seed: int, build: Callable[[int, CaseDirs], Case], root: Path, idle_limit: float = IDLE_LIMIT
) -> Outcome:
    """Build a case and run it in a forked process that is watched.

    Args:
        seed: of the case.
        build: writes the input to the place and tells what to run.
        root: a folder of this case's own; it must not be there yet.
        idle_limit: seconds without processor time after which the case counts as a hang.
    """
    dirs = CaseDirs(root)
    dirs.make()
    child = os.fork()
    if child == 0:
        run_in_child(seed, build, dirs)
    killed, status, cpu = _wait(child, root, idle_limit)
    outcome = Outcome(seed)
    start_state = _read(root / "begun.json")
    for content in (start_state, _read(root / "outcome.json")):
        for key, value in content.items():
            if hasattr(outcome, key) and not (content is start_state and key == "memory"):
                setattr(outcome, key, value)
    outcome.seconds = cpu - start_state.get("cpu", 0.0)
    if killed or os.WIFSIGNALED(status):
        outcome.ended = killed or signal.Signals(os.WTERMSIG(status)).name
        outcome.trace = _dump_location(root / "fault.txt")
    elif not (root / "outcome.json").exists():
        stderr_tail = (root / "stderr.txt").read_text(errors="replace").splitlines()[-4:]
        outcome.trace = f"the process left with {os.waitstatus_to_exitcode(status)}: {stderr_tail}"
    if start_state:
        before, after = start_state["tree"], snapshot_files(dirs)
        outcome.changed += sorted(name for name in {*before, *after}
                                  if before.get(name) != after.get(name))
    if dirs.canary.exists():
        outcome.ran.append("code of the input")
    outcome.output = sum((root / name).stat().st_size for name in ("stdout.txt", "stderr.txt")
                         if (root / name).exists())
    return outcome


def _wait(child: int, root: Path, idle_limit: float) -> tuple[str, int, float]:
    """Wait for the process, and end it when it is beyond a limit.

    Returns:
        'hang', 'memory' or '' where it ended by itself; its status; seconds of processor time.
    """
    killed, start_state = "", {}
    last, idle_since, started = 0.0, time.monotonic(), time.monotonic()
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return killed, status, usage.ru_utime + usage.ru_stime
        time.sleep(0.004)
        start_state = start_state or _read(root / "begun.json")
        cpu, now = _cpu(child), time.monotonic()
        if cpu > last + 0.02 or not start_state:
            last, idle_since = cpu, now
        if start_state and _memory(child) > start_state["memory"] + MEMORY_KILL:
            killed = "memory"
        elif start_state and cpu - start_state["cpu"] > CPU_LIMIT or now - idle_since > idle_limit \
                or not start_state and now - started > BUILD_LIMIT:
            killed = "hang"
        if killed:
            _kill(child)


def _kill(child: int) -> None:
    """End the process and what it started; faulthandler first writes where it was."""
    os.kill(child, signal.SIGUSR1)
    time.sleep(0.1)
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(child, signal.SIGKILL)


def _dump_location(file: Path) -> str:
    """The innermost places of a faulthandler's dump, in detkit and at all."""
    lines = [line.split('"')[1::2] + [line.rpartition("line ")[2]]
             for line in file.read_text(errors="replace").splitlines() if "File " in line]
    locations = [f"{Path(line[0]).name}:{line[-1]}" for line in lines if len(line) > 1]
    detkit_frames = [dirs for dirs, line in zip(locations, lines) if "/detkit/" in line[0]]
    return ", ".join(dict.fromkeys([*detkit_frames[:1], *locations[:1]]))


def _read(file: Path) -> dict:
    try:
        content: dict = json.loads(file.read_text())
        return content
    except (OSError, ValueError):
        return {}


def _cpu(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0


def _memory(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0
