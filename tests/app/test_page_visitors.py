"""Visitors of the page, their files, and the allowed hosts."""

import os
import socket

import numpy as np
import pytest

from detkit.app import visitors as app_visitors
from detkit.app.demo_model import DemoResult
from detkit.app.hosts import AllowedHosts, allowed_hosts
from detkit.app.image_tab import ResultCache
from detkit.app.visitors import IDLE_SECONDS, MAX_TABS, VisitorRegistry
from detkit.structures.classifications import Classifications


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
    return VisitorRegistry(tmp_path / "served", 100_000, clock=clock)


def add(visitors, visitor, size=1):
    path = visitors.new_folder() / "file.bin"
    path.write_bytes(bytes(size))
    visitors.add_file(visitor.token, path)
    return path


def test_oldest_files_are_removed_beyond_limit(visitors):
    one, two = visitors.add_visitor(), visitors.add_visitor()
    first, second = add(visitors, one, 40_000), add(visitors, two, 40_000)
    third = add(visitors, two, 40_000)
    assert [path.exists() for path in (first, second, third)] == [False, True, True]
    assert not first.parent.exists()
    assert visitors.file(one, str(first)) is None and visitors.total_bytes() == 80_000
    # A small file counts as a block of the disk: 25 x 4096 > 100,000.
    small = [add(visitors, one) for _ in range(25)]
    assert sum(path.exists() for path in small) == 24 and not third.exists()


def test_file_belongs_to_its_visitor_only(visitors, tmp_path):
    one, two = visitors.add_visitor(), visitors.add_visitor()
    path = add(visitors, one)
    assert visitors.file(one, str(path)) == path.resolve()
    assert visitors.file(one, f"{path.parent}/./../{path.parent.name}/{path.name}") == path
    assert visitors.file(two, str(path)) is None
    for wrong in (None, 1, "", "a\0b", str(path.parent), str(tmp_path)):
        assert visitors.file(one, wrong) is None
    path.unlink()
    path.symlink_to(os.devnull)  # replaced after it was added
    assert visitors.file(one, str(path)) is None


def test_outside_file_has_no_owner_and_unowned_file_is_removed(visitors, tmp_path):
    one = visitors.add_visitor()
    linked = visitors.new_folder() / "a"
    linked.symlink_to(tmp_path)
    visitors.add_file(one.token, linked)
    assert not one.files and not linked.is_symlink() and tmp_path.is_dir()
    path = visitors.new_folder() / "a"
    path.write_bytes(b"")
    visitors.add_file("guess", path)
    assert not path.exists()


def test_files_of_idle_visitor_are_removed_but_session_stays(visitors, clock):
    idle, active = visitors.add_visitor(), visitors.add_visitor()
    removed, kept = add(visitors, idle), add(visitors, active)
    active.streams = 1
    clock.now = IDLE_SECONDS + 1
    visitors.sweep()
    assert (removed.exists(), kept.exists()) == (False, True)
    assert visitors.get(idle.token) is idle and visitors.file(idle, str(removed)) is None


def test_stale_unowned_file_is_removed(visitors):
    new, old = visitors.new_folder() / "new", visitors.new_folder() / "old"
    for path in (new, old):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    visitors.sweep()
    assert new.exists() and not old.parent.exists()


def test_tab_belongs_to_one_browser_and_tabs_are_limited(tmp_path):
    forgotten = []
    visitors = VisitorRegistry(tmp_path, 100_000, forgotten.append)
    one, two = visitors.add_visitor(), visitors.add_visitor()
    assert visitors.tab(one, "a") is visitors.tab(one, "a") is not None
    assert visitors.tab(two, "a") is None
    for wrong in (None, 1, "", "a/b", "a" * 33, ["a"]):
        assert visitors.tab(one, wrong) is None
    for number in range(MAX_TABS):
        assert visitors.tab(one, f"b{number}")
    assert forgotten == ["a"] and visitors.tab(two, "a") is not None


def test_oldest_idle_visitor_is_forgotten_at_limit(visitors, clock, monkeypatch):
    monkeypatch.setattr(app_visitors, "MAX_VISITORS", 2)
    first, second = visitors.add_visitor(), visitors.add_visitor()
    path = add(visitors, second)
    first.streams, clock.now = 1, 1.0
    third = visitors.add_visitor()
    assert visitors.get(first.token) is first and visitors.get(third.token) is third
    assert visitors.get(second.token) is None and not path.exists()
    third.streams = 1
    assert visitors.add_visitor() is None


def test_result_cache_is_bounded(tmp_path):
    def result(side):
        return DemoResult(np.zeros((side, side, 3), np.uint8), Classifications(np.ones(1), (1, 1)),
                          {})

    result_cache = ResultCache(max_bytes=3 * 100 * 100 * 2)
    for name in "abc":
        result_cache.put(name, result(100))
    assert [result_cache.get(name) is not None for name in "abc"] == [False, True, True]
    result_cache.put("b", result(10))
    result_cache.put("d", result(10))
    assert [result_cache.get(name) is not None for name in "bcd"] == [True, True, True]
    result_cache.drop("c")
    result_cache.put("d", None)
    result_cache.put("e", result(1000))
    assert all(result_cache.get(name) is None for name in "cde")


LOOPBACK = AllowedHosts(frozenset({"127.0.0.1:80", "localhost:80"}), frozenset({"gpu.example"}))
OPEN = AllowedHosts(frozenset(), frozenset({"localhost", "gpu"}), any_ip_address=True)


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
    assert hosts.is_allowed(host) is allowed


def test_allowed_hosts_of_loopback_and_of_all_interfaces():
    with socket.socket() as loopback, socket.socket() as every:
        loopback.bind(("127.0.0.1", 0))
        every.bind(("0.0.0.0", 0))
        port = loopback.getsockname()[1]
        hosts = allowed_hosts(loopback, "127.0.0.1", ["Gpu.Example", "localhost:1"])
        assert hosts.is_allowed(f"localhost:{port}") and hosts.is_allowed(f"[::1]:{port}")
        assert hosts.is_allowed("gpu.example") and hosts.is_allowed("localhost:1")
        assert not hosts.is_allowed("localhost:2") and not hosts.is_allowed("10.0.0.1:1")
        hosts = allowed_hosts(every, "0.0.0.0")
        assert hosts.is_allowed(f"{socket.gethostname()}:5") and hosts.is_allowed("10.0.0.1:5")
        assert not hosts.is_allowed("evil.example")
