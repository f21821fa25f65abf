"""Special files are not opened, reading is limited, and files are replaced in one step."""

import gzip
import os
import socket
import tracemalloc

import pytest

from detkit.data.formats.coco.coco_file import is_coco
from detkit.errors import DataError
from detkit.evaluation.detection.json_values import read_json
from detkit.files import (
    BLOCK_BYTES,
    atomic_replace,
    compute_sha256,
    read_bytes,
    special_file_type,
)


def test_missing_file_folder_and_regular_file_are_not_special(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    assert special_file_type(tmp_path / "none") is None
    assert special_file_type(tmp_path) is None
    assert special_file_type(tmp_path / "a.txt") is None
    assert special_file_type("a\0b") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_pipe_socket_device_and_link_to_them_are_special(tmp_path, monkeypatch):
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
def test_large_sparse_file_is_not_read_to_its_end(tmp_path, read, packed):
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
def test_file_is_read_up_to_its_limit(tmp_path, size):
    content = bytes(range(1, 256)) * (size // 255 + 1)
    content = content[:size]
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    for name in ("a", "a.gz"):
        assert read_bytes(tmp_path / name, size, text=True) == content
        if size:
            with pytest.raises(OSError, match="it holds .* MB, and at most .* MB are read: why"):
                read_bytes(tmp_path / name, size - 1, "why")


def test_sha256_of_published_examples(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert compute_sha256(tmp_path / "empty").startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert compute_sha256(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


@pytest.mark.parametrize("fsync", [False, True])
@pytest.mark.parametrize("mode, content", [("w", "\u00e9\n"), ("wb", b"\0\r\n"), ("w", "")])
def test_atomic_replace_shows_old_content_until_the_body_ends(tmp_path, mode, content, fsync):
    path = tmp_path / "a.json"
    path.write_text("old")
    with atomic_replace(path, mode, fsync=fsync) as file:
        file.write(content)
        assert path.read_text() == "old"
    assert path.read_bytes() == (content if mode == "wb" else content.encode())
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_replace_keeps_what_the_body_writes_by_name(tmp_path):
    with atomic_replace(tmp_path / "a.pth", "wb", fsync=True) as file:
        with open(file.name, "wb") as other:
            other.write(b"all")
    assert (tmp_path / "a.pth").read_bytes() == b"all"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()],
                         ids=["full disk", "interrupt"])
def test_failed_atomic_replace_keeps_the_old_file_and_leaves_no_other(tmp_path, error):
    path = tmp_path / "epoch_1.pth"
    path.write_text("old")
    with pytest.raises(type(error)) as caught, atomic_replace(path) as file:
        file.write("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    if isinstance(error, OSError):
        assert caught.value.filename == str(path)


def test_atomic_replace_in_a_missing_folder_names_the_target(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_replace(tmp_path / "none" / "a"):
        pytest.fail("the body runs")
    assert caught.value.filename == str(tmp_path / "none" / "a")


def test_atomic_replace_keeps_the_error_of_another_file(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_replace(tmp_path / "a"):
        open(tmp_path / "source")
    assert caught.value.filename == str(tmp_path / "source")


def test_atomic_replace_accepts_the_longest_file_name(tmp_path):
    with atomic_replace(tmp_path / f"{'a' * 251}.txt") as file:
        file.write("all")
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]
