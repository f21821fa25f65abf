"""A fault that a data loading process meets, as the person at the terminal sees it."""


import pytest
from torch.utils.data import DataLoader, Dataset

from detkit.errors import DataError, without_worker_traceback


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
