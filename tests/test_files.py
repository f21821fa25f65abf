"""Kinds of paths that must not be opened as files."""

import os
import socket

import pytest

from detkit.files import special_file


def test_missing_file_folder_and_regular_file_are_not_special(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    assert special_file(tmp_path / "none") is None
    assert special_file(tmp_path) is None
    assert special_file(tmp_path / "a.txt") is None
    assert special_file("a\0b") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_pipe_socket_device_and_a_link_to_one_are_special(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path may have about 100 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert special_file("socket") == "a socket"
    assert special_file("pipe") == special_file("link.jpg") == "a named pipe"
    assert special_file(os.devnull) == "a device"
