"""A fault that a data loading process meets, as the person at the terminal sees it."""

import os
import signal

import pytest
from torch.utils.data import DataLoader, Dataset

from detkit.errors import DataError, machine_failure, without_worker_traceback


class _Broken(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise DataError("a.jpg: the image cannot be read", got="Error: half of it", do="replace it")


def test_an_error_of_a_loading_process_is_told_in_one_line():
    with pytest.raises(DataError) as caught:
        next(iter(DataLoader(_Broken(), num_workers=1)))
    assert "Traceback" in str(caught.value)
    expected = "a.jpg: the image cannot be read: got Error: half of it; replace it"
    assert without_worker_traceback(str(caught.value)) == expected


def test_other_messages_stay_as_they_are():
    message = "c.py cannot be read: got TypeError: no"
    assert without_worker_traceback(message) == message


class _Failing(Dataset):
    def __init__(self, how):
        self.how = how

    def __len__(self):
        return 1

    def __getitem__(self, index):
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "no memory":
            raise MemoryError("Unable to allocate 9 GiB")
        if self.how == "no file":
            open("no/such/file")


@pytest.mark.parametrize(("how", "told"), [
    ("killed", "the memory probably ran out; use fewer train_dataloader.num_workers or a smaller"),
    ("no memory", "the memory is not enough; use a smaller batch"),
    ("no file", "[Errno 2] No such file or directory: 'no/such/file' (in a data loading process"),
])
def test_what_ends_a_loading_process_is_told_in_one_line(how, told):
    with pytest.raises((RuntimeError, MemoryError, OSError)) as caught:
        next(iter(DataLoader(_Failing(how), num_workers=1, timeout=1)))
    line = machine_failure(caught.value)
    assert told in line and "\n" not in line and "Traceback" not in line
