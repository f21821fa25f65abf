"""Kinds of paths that must not be opened as files."""

import gzip
import os
import socket
import tracemalloc

import pytest

from detkit.data.formats.coco.coco_file import is_coco
from detkit.errors import DataError
from detkit.evaluation.detection.json_values import read_json
from detkit.files import BLOCK_BYTES, compute_sha256, read_bytes, special_file_type


def test_missing_file_folder_and_regular_file_are_not_special(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    assert special_file_type(tmp_path / "none") is None
    assert special_file_type(tmp_path) is None
    assert special_file_type(tmp_path / "a.txt") is None
    assert special_file_type("a\0b") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_pipe_socket_device_and_a_link_to_one_are_special(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path may have about 100 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert special_file_type("socket") == "a socket"
    assert special_file_type("pipe") == special_file_type("link.jpg") == "a named pipe"
    assert special_file_type(os.devnull) == "a device"


@pytest.mark.parametrize("read", [read_json, is_coco])
@pytest.mark.parametrize("packed", [False, True])
def test_a_large_file_with_holes_is_not_read_whole(tmp_path, read, packed):
    size = 300_000_000
    path = tmp_path / f"results.json{'.gz' * packed}"
    with gzip.open(path, "wb", 1) if packed else path.open("wb") as file:
        file.write(b'[{"image_id": 1,')
        if packed:
            for _ in range(size // 10**7):
                file.write(bytes(10**7))
        else:
            file.truncate(size)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="(?i)not (a )?json"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < size / 10
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 1])
def test_a_file_is_read_whole_up_to_its_limit(tmp_path, size):
    content = bytes(range(1, 256)) * (size // 255 + 1)
    content = content[:size]
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    for name in ("a", "a.gz"):
        assert read_bytes(tmp_path / name, size, text=True) == content
        if size:
            with pytest.raises(OSError, match="it holds .* MB, and at most .* MB are read: why"):
                read_bytes(tmp_path / name, size - 1, "why")


def test_sha256_is_the_published_one(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert compute_sha256(tmp_path / "empty").startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert compute_sha256(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
