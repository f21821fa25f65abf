"""Error messages for failed workers and disks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader, Dataset

from detkit.engine.run import train
from detkit.engine.run_failures import LOADING_TIMEOUT_S, explain_failures, set_loading_timeout
from detkit.errors import DataError, DetkitError


class _StoppingDataset(Dataset[int]):
    """Loading the second item sends a signal to its worker."""

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        if index == 1:
            os.kill(os.getpid(), self.signal_number)
        return index


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "epoch_3.pth").write_bytes(b"")
    before = multiprocessing.active_children()
    yield tmp_path
    assert [child for child in multiprocessing.active_children() if child not in before] == []


def test_stopped_worker_is_named_and_killed(folder: Path) -> None:
    loader = DataLoader(_StoppingDataset(signal.SIGSTOP), num_workers=1, timeout=2)
    begin = time.monotonic()
    with pytest.raises(DetkitError) as caught, explain_failures(folder):
        list(loader)
    message = str(caught.value)
    assert "for 2 s; they were" in message and "(stopped)" in message
    assert "train_dataloader.timeout" in message
    assert f"{folder}/epoch_3.pth: --resume continues from it" in message
    caught.value.__cause__ = None
    # If the worker were not killed, this process would wait forever.
    for child in multiprocessing.active_children():
        child.join(20)
    assert time.monotonic() - begin < 30


def test_killed_worker_error_names_the_last_checkpoint(folder: Path) -> None:
    loader = DataLoader(_StoppingDataset(signal.SIGKILL), num_workers=1)
    with pytest.raises(DetkitError, match="memory probably ran out.*epoch_3.pth: --resume"):
        with explain_failures(folder):
            list(loader)


def test_full_disk_error_names_the_folder_or_file(tmp_path: Path) -> None:
    with pytest.raises(DetkitError, match=f"^{tmp_path}: No space left on device$"):
        with explain_failures(tmp_path):
            raise OSError(28, "No space left on device")
    with pytest.raises(DetkitError, match="^log.json: No space left on device$"):
        with explain_failures():
            raise OSError(28, "No space left on device", "log.json")


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    for error in (DataError("a"), KeyError("b"), KeyboardInterrupt(), RuntimeError("c")):
        with pytest.raises(type(error)) as caught, explain_failures(tmp_path):
            raise error
        assert caught.value is error


def test_only_dataloaders_with_workers_get_a_timeout() -> None:
    cfg = Config(dict(train_dataloader=dict(num_workers=2), val_dataloader=dict(num_workers=0),
                      test_dataloader=dict(num_workers=2, timeout=7)))
    set_loading_timeout(cfg)
    assert cfg.train_dataloader.timeout == LOADING_TIMEOUT_S
    assert "timeout" not in cfg.val_dataloader and cfg.test_dataloader.timeout == 7


@pytest.mark.slow
def test_training_with_a_stopped_worker_ends(
    tiny_config: Path, tmp_path: Path
) -> None:
    stopped = threading.Event()

    def stop_worker() -> None:
        while not (tmp_path / "work" / "epoch_1.pth").exists():
            time.sleep(0.01)
        while not stopped.is_set():
            for child in multiprocessing.active_children():
                if child.pid is not None:
                    os.kill(child.pid, signal.SIGSTOP)
                    stopped.set()

    threading.Thread(target=stop_worker, daemon=True).start()
    options = {"train_dataloader.num_workers": 1, "train_dataloader.timeout": 3,
               "train_cfg.max_epochs": 200, "val_cfg": None, "val_dataloader": None,
               "val_evaluator": None, "custom_hooks": []}
    with pytest.raises(DetkitError, match="returned no batch.*epoch_.*--resume"):
        train(tiny_config, work_dir=tmp_path / "work", options=options, device="cpu")
    assert stopped.is_set()
