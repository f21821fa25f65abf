"""The lock of a work dir: a second training is rejected, a killed one releases its lock."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from detkit.engine.run import train
from detkit.engine.run_lock import LOCK_NAME, run_lock
from detkit.errors import ConfigError

HOLD = """
import sys, time
from pathlib import Path
from detkit.engine.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def _holder(folder: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE,
                             text=True)
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    return child


def test_released_lock_leaves_no_file(tmp_path: Path) -> None:
    with run_lock(tmp_path / "new" / "work"):
        content = json.loads((tmp_path / "new" / "work" / LOCK_NAME).read_text())
        assert content == {"pid": os.getpid(), "host": socket.gethostname()}
    assert not (tmp_path / "new" / "work").exists()
    (tmp_path / "old").mkdir()
    with run_lock(tmp_path / "old"):
        pass
    assert list((tmp_path / "old").iterdir()) == []


def test_second_training_in_a_new_folder_is_rejected(tiny_config: Path, tmp_path: Path) -> None:
    with run_lock(tmp_path / "work"):
        with pytest.raises(ConfigError, match=f"in use.*process {os.getpid()}.*--work-dir"):
            train(tiny_config, work_dir=tmp_path / "work", device="cpu")
        assert [path.name for path in (tmp_path / "work").iterdir()] == [LOCK_NAME]


def test_lock_is_rejected_until_its_process_is_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    child = _holder(tmp_path)
    try:
        for _ in range(2):
            with pytest.raises(ConfigError, match=f"got process {child.pid};"):
                with run_lock(tmp_path):
                    pass
    finally:
        child.kill()
        child.wait()
    with caplog.at_level("WARNING", "detkit"), run_lock(tmp_path):
        assert f"the run of process {child.pid} was killed" in caplog.text
    assert not (tmp_path / LOCK_NAME).exists()


def test_lock_of_another_host_is_rejected_and_kept(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text(json.dumps({"pid": 12, "host": "elsewhere"}))
    with pytest.raises(ConfigError, match=f"process 12 of elsewhere.*remove .*{LOCK_NAME}"):
        with run_lock(tmp_path):
            pass
    assert (tmp_path / LOCK_NAME).exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1]", b"{}", b"[" * 100_000],
                         ids=["empty", "binary", "list", "no-fields", "deep"])
def test_empty_lock_file_is_replaced(content: bytes, tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_bytes(content)
    with run_lock(tmp_path):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == os.getpid()


def test_pipe_or_link_as_lock_file_is_rejected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LOCK_NAME)
    with pytest.raises(ConfigError, match="not a lock file"), run_lock(tmp_path):
        pass
    (tmp_path / LOCK_NAME).unlink()
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "mine.txt")
    with pytest.raises(ConfigError, match="not a lock file"), run_lock(tmp_path):
        pass
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_stopped_training_keeps_its_lock(tmp_path: Path) -> None:
    child = _holder(tmp_path)
    try:
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(ConfigError, match="in use"), run_lock(tmp_path):
            pass
    finally:
        child.kill()
        child.wait()
