"""Who visits the page of ``detkit serve``, by which host, and what is kept for each."""

import os
import socket

import numpy as np
import pytest

from detkit.app import visitors as app_visitors
from detkit.app.demo_model import Seen
from detkit.app.hosts import Hosts, allowed_hosts
from detkit.app.image import SeenPictures
from detkit.app.visitors import IDLE_SECONDS, MAX_TABS, Visitors
from detkit.structures.classifications import ClassScores


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def visitors(tmp_path, clock):
    (tmp_path / "served").mkdir()
    return Visitors(tmp_path / "served", 100_000, clock=clock)


def add(visitors, visitor, size=1):
    path = visitors.new_folder() / "file.bin"
    path.write_bytes(bytes(size))
    visitors.add_file(visitor.token, path)
    return path


def test_beyond_the_bound_the_oldest_files_of_all_are_removed(visitors):
    one, two = visitors.welcome(), visitors.welcome()
    first, second = add(visitors, one, 40_000), add(visitors, two, 40_000)
    third = add(visitors, two, 40_000)
    assert [path.exists() for path in (first, second, third)] == [False, True, True]
    assert not first.parent.exists()
    assert visitors.file(one, str(first)) is None and visitors.bytes_kept() == 80_000
    # A small file counts as a block of the disk: 25 x 4096 > 100,000.
    small = [add(visitors, one) for _ in range(25)]
    assert sum(path.exists() for path in small) == 24 and not third.exists()


def test_a_file_is_its_visitors_alone(visitors, tmp_path):
    one, two = visitors.welcome(), visitors.welcome()
    path = add(visitors, one)
    assert visitors.file(one, str(path)) == path.resolve()
    assert visitors.file(one, f"{path.parent}/./../{path.parent.name}/{path.name}") == path
    assert visitors.file(two, str(path)) is None
    for wrong in (None, 1, "", "a\0b", str(path.parent), str(tmp_path)):
        assert visitors.file(one, wrong) is None
    path.unlink()
    path.symlink_to(os.devnull)  # what it was is not what it is
    assert visitors.file(one, str(path)) is None


def test_a_file_elsewhere_is_no_ones_and_one_of_nobody_is_removed(visitors, tmp_path):
    one = visitors.welcome()
    linked = visitors.new_folder() / "a"
    linked.symlink_to(tmp_path)
    visitors.add_file(one.token, linked)
    assert not one.files and not linked.is_symlink() and tmp_path.is_dir()
    path = visitors.new_folder() / "a"
    path.write_bytes(b"")
    visitors.add_file("guess", path)
    assert not path.exists()


def test_the_files_of_who_left_are_removed_and_his_next_request_is_answered(visitors, clock):
    left, here = visitors.welcome(), visitors.welcome()
    gone, kept = add(visitors, left), add(visitors, here)
    here.streams = 1
    clock.now = IDLE_SECONDS + 1
    visitors.sweep()
    assert (gone.exists(), kept.exists()) == (False, True)
    assert visitors.get(left.token) is left and visitors.file(left, str(gone)) is None


def test_a_file_that_no_one_owns_goes_when_no_one_writes_it_any_more(visitors):
    new, old = visitors.new_folder() / "new", visitors.new_folder() / "old"
    for path in (new, old):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    visitors.sweep()
    assert new.exists() and not old.parent.exists()


def test_a_tab_has_one_browser_and_a_browser_so_many_tabs(tmp_path):
    forgotten = []
    visitors = Visitors(tmp_path, 100_000, forgotten.append)
    one, two = visitors.welcome(), visitors.welcome()
    assert visitors.tab(one, "a") is visitors.tab(one, "a") is not None
    assert visitors.tab(two, "a") is None
    for wrong in (None, 1, "", "a/b", "a" * 33, ["a"]):
        assert visitors.tab(one, wrong) is None
    for number in range(MAX_TABS):
        assert visitors.tab(one, f"b{number}")
    assert forgotten == ["a"] and visitors.tab(two, "a") is not None


def test_of_too_many_visitors_who_came_longest_ago_is_forgotten(visitors, clock, monkeypatch):
    monkeypatch.setattr(app_visitors, "MAX_VISITORS", 2)
    first, second = visitors.welcome(), visitors.welcome()
    path = add(visitors, second)
    first.streams, clock.now = 1, 1.0
    third = visitors.welcome()
    assert visitors.get(first.token) is first and visitors.get(third.token) is third
    assert visitors.get(second.token) is None and not path.exists()
    third.streams = 1
    assert visitors.welcome() is None


def test_the_kept_pictures_have_a_bound(tmp_path):
    def seen(side):
        return Seen(np.zeros((side, side, 3), np.uint8), ClassScores(np.ones(1), (1, 1)), {})

    pictures = SeenPictures(max_bytes=3 * 100 * 100 * 2)
    for name in "abc":
        pictures.put(name, seen(100))
    assert [pictures.get(name) is not None for name in "abc"] == [False, True, True]
    pictures.put("b", seen(10))
    pictures.put("d", seen(10))
    assert [pictures.get(name) is not None for name in "bcd"] == [True, True, True]
    pictures.drop("c")
    pictures.put("d", None)
    pictures.put("e", seen(1000))
    assert all(pictures.get(name) is None for name in "cde")


LOOPBACK = Hosts(frozenset({"127.0.0.1:80", "localhost:80"}), frozenset({"gpu.example"}))
OPEN = Hosts(frozenset(), frozenset({"localhost", "gpu"}), any_address=True)


@pytest.mark.parametrize("hosts, host, allowed", [
    (LOOPBACK, "", False),
    (LOOPBACK, "127.0.0.1", True),
    (LOOPBACK, "LOCALHOST:80", True),
    (LOOPBACK, "localhost:81", False),
    (LOOPBACK, "192.168.1.5:80", False),
    (LOOPBACK, "gpu.example:443", True),
    (LOOPBACK, "evil.gpu.example", False),
    (LOOPBACK, "127.0.0.1:80@evil.example", False),
    (OPEN, "192.168.1.5:8080", True),
    (OPEN, "[fe80::1]:8080", True),
    (OPEN, "[evil]:8080", False),
    (OPEN, "gpu", True),
    (OPEN, "gpu.evil.example", False),
    (OPEN, "192.168.1.5.evil.example", False),
])
def test_hosts(hosts, host, allowed):
    assert hosts.allow(host) is allowed


def test_the_hosts_of_an_address_and_those_that_are_allowed_besides():
    with socket.socket() as loopback, socket.socket() as every:
        loopback.bind(("127.0.0.1", 0))
        every.bind(("0.0.0.0", 0))
        port = loopback.getsockname()[1]
        hosts = allowed_hosts(loopback, "127.0.0.1", ["Gpu.Example", "localhost:1"])
        assert hosts.allow(f"localhost:{port}") and hosts.allow(f"[::1]:{port}")
        assert hosts.allow("gpu.example") and hosts.allow("localhost:1")
        assert not hosts.allow("localhost:2") and not hosts.allow("10.0.0.1:1")
        hosts = allowed_hosts(every, "0.0.0.0")
        assert hosts.allow(f"{socket.gethostname()}:5") and hosts.allow("10.0.0.1:5")
        assert not hosts.allow("evil.example")
