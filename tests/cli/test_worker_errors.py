"""Errors in data loading processes are one line on the terminal."""

import os
import signal

import pytest
from torch.utils.data import DataLoader, Dataset

from detkit.errors import DataError, describe_system_failure, strip_worker_traceback


class _Broken(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise DataError("a.jpg: the image cannot be read", got="Error: truncated",
                        hint="replace it")


def test_data_worker_error_is_one_line():
    with pytest.raises(DataError) as caught:
        next(iter(DataLoader(_Broken(), num_workers=1)))
    assert "Traceback" in str(caught.value)
    expected = "a.jpg: the image cannot be read: got Error: truncated; replace it"
    assert strip_worker_traceback(str(caught.value)) == expected


def test_other_messages_stay_as_they_are():
    message = "c.py cannot be read: got TypeError: no"
    assert strip_worker_traceback(message) == message


class _Killed(_Broken):
    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def test_killed_data_worker_is_one_line():
    with pytest.raises(RuntimeError) as caught:
        next(iter(DataLoader(_Killed(), num_workers=1, timeout=1)))
    line = describe_system_failure(caught.value)
    assert "the memory is probably exhausted; reduce train_dataloader.num_workers" in line


@pytest.mark.parametrize(("error_type", "text", "expected"), [
    (MemoryError, "Unable to allocate 9 GiB", "out of memory; use a smaller batch"),
    (FileNotFoundError, "[Errno 2] No such file or directory: 'a.jpg'",
     "FileNotFoundError: [Errno 2] No such file or directory: 'a.jpg' (in a dataloader worker"),
])
def test_system_error_in_data_worker_is_one_line(error_type, text, expected):
    # As torch raises it: the same class, with only the text.
    name = error_type.__name__
    error = error_type(
        f"Caught {name} in DataLoader worker process 0.\nOriginal Traceback "
        f'(most recent call last):\n  File "/x/load.py", line 7, in get\n    open(path)\n'
        f"{name}: {text}\n")
    line = describe_system_failure(error)
    assert line.startswith(expected) and "load.py:7)" in line
    assert "\n" not in line and "Traceback" not in line
