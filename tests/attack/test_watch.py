"""The process monitor of the attacks detects each of the faults that it is for."""

import os
import socket
import time

import pytest
from outcome import Case
from watch import run_case

from detkit.errors import DataError


def _change(dirs):
    (dirs.input_dir / "a.txt").write_text("changed")


def _refuse(dirs):
    raise DataError("a.txt", got="nothing")


def _fail(dirs):
    raise KeyError("a")


def _leave(dirs):
    os.chdir(dirs.outside_dir)
    open("new.txt", "w").close()


def _look_up(dirs):
    try:
        socket.getaddrinfo("example.com", 80)
    except OSError:
        pass


@pytest.mark.parametrize(("act", "fault"), [
    (lambda dirs: None, None),
    (_refuse, None),
    (lambda dirs: (dirs.out / "a.txt").write_text("result"), None),
    (_fail, "traceback: KeyError"),
    (lambda dirs: time.sleep(60), "ended by hang"),
    (lambda dirs: os.abort(), "ended by SIGABRT"),
    (lambda dirs: os._exit(0), "left with 0"),
    (_change, "changed: given/a.txt"),
    (_leave, "changed: beside/new.txt"),
    (lambda dirs: dirs.canary.touch(), "ran: code of the input"),
    (lambda dirs: os.system(f"true {dirs.root}"), "ran: os.system"),
    (_look_up, "looked up: socket.getaddrinfo"),
    (lambda dirs: bytearray(3 << 29), "memory: 15"),
    (lambda dirs: print("x" * 300_000), "output: 300001"),
], ids=["nothing", "refused", "result", "traceback", "hang", "abort", "leaves", "changes",
        "writes beside", "code", "program", "look-up", "memory", "output"])
def test_watch_detects_what_a_case_does(tmp_path, act, fault):
    def build(seed, dirs):
        (dirs.input_dir / "a.txt").write_text("given")

        def run(out):
            act(dirs)
            return 0

        return Case("known", run)

    faults = run_case(3, build, tmp_path / "case", idle_limit=0.7).faults()
    if fault is None:
        assert not faults
    else:
        assert any(fault in one for one in faults), faults
