"""Operations of torch are refused before they take more memory than is allowed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from detkit.machine.bounded_tensors import BoundedTensors, TooMuchError

ROW = torch.ones(1000)
TERA = 10**12


# Each would be 4 TB or more, but for the last: that it ends shows that it was not made.
@pytest.mark.parametrize("make", [
    lambda: torch.zeros(TERA),
    lambda: torch.arange(float(TERA)),
    lambda: torch.linspace(0, 1, TERA),
    lambda: torch.eye(10**6),
    lambda: torch.full((10**6, 10**6), 1.0),
    lambda: ROW.repeat(10**9),
    lambda: ROW.new_zeros(TERA),
    lambda: ROW.expand(10**9, 1000).sum(),
    lambda: ROW[:, None, None, None] * ROW[:, None, None] * ROW[:, None] * ROW,
    lambda: nn.functional.pad(torch.ones(1, 1), (10**6, 0, 10**6, 0)),
    lambda: nn.functional.interpolate(torch.ones(1, 1, 2, 2), scale_factor=1e6),
    lambda: nn.functional.one_hot(torch.tensor([1]), TERA),
    lambda: nn.Linear(10**6, 10**6),
    lambda: nn.BatchNorm2d(TERA),
    lambda: [torch.ones(2**18) for _ in range(2**20)],
], ids=range(15))
def test_more_than_the_bound_is_not_made(make: Callable[[], object]) -> None:
    with pytest.raises(TooMuchError, match="at most 100,000,000 are made"):
        with BoundedTensors(100_000_000):
            make()


def test_what_is_let_go_of_counts_no_more_and_results_are_torchs() -> None:
    with BoundedTensors(9_000_000):
        found = [torch.full((10**6,), float(one)).sum() for one in range(20)]
        made = nn.Linear(100, 100)(torch.ones(1, 100)).sum()
        made.backward()
    assert torch.stack(found).tolist() == [one * 1e6 for one in range(20)]
    assert made.requires_grad


def test_calls_are_counted() -> None:
    with BoundedTensors(1 << 30, 100):
        for _ in range(100):
            torch.ones(1)
    with pytest.raises(TooMuchError, match="more than 100 operations on tensors"):
        with BoundedTensors(1 << 30, 100):
            while True:
                torch.ones(1)


def test_what_takes_no_memory_of_the_computer_is_free() -> None:
    with BoundedTensors(1000):
        assert torch.empty(TERA, device="meta").shape == (TERA,)
        with torch.device("meta"):
            assert nn.Linear(10**6, 10**6).weight.is_meta
