"""The watch over the attacks sees each of the things that it is there for."""

import os
import socket
import time

import pytest
from outcome import Case
from watch import try_case

from detkit.errors import DataError


def _change(place):
    (place.given / "a.txt").write_text("changed")


def _refuse(place):
    raise DataError("a.txt", got="nothing")


def _fail(place):
    raise KeyError("a")


def _leave(place):
    os.chdir(place.beside)
    open("new.txt", "w").close()


def _look_up(place):
    try:
        socket.getaddrinfo("example.com", 80)
    except OSError:
        pass


@pytest.mark.parametrize(("act", "fault"), [
    (lambda place: None, None),
    (_refuse, None),
    (lambda place: (place.out / "a.txt").write_text("result"), None),
    (_fail, "traceback: KeyError"),
    (lambda place: time.sleep(60), "ended by hang"),
    (lambda place: os.abort(), "ended by SIGABRT"),
    (lambda place: os._exit(0), "left with 0"),
    (_change, "changed: given/a.txt"),
    (_leave, "changed: beside/new.txt"),
    (lambda place: place.canary.touch(), "ran: code of the input"),
    (lambda place: os.system(f"true {place.root}"), "ran: os.system"),
    (_look_up, "looked up: socket.getaddrinfo"),
    (lambda place: bytearray(3 << 29), "memory: 15"),
    (lambda place: print("x" * 300_000), "output: 300001"),
], ids=["nothing", "refused", "result", "traceback", "hang", "abort", "leaves", "changes",
        "writes beside", "code", "program", "look-up", "memory", "output"])
def test_the_watch_sees_what_a_case_does(tmp_path, act, fault):
    def build(seed, place):
        (place.given / "a.txt").write_text("given")

        def run(out):
            act(place)
            return 0

        return Case("known", run)

    faults = try_case(3, build, tmp_path / "case", idle_limit=0.7).faults()
    if fault is None:
        assert not faults
    else:
        assert any(fault in one for one in faults), faults
