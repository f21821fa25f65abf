"""Operations of torch are rejected before they exceed the memory limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from detkit.machine.tensor_memory_limit import TensorLimitError, TensorMemoryLimit

ROW = torch.ones(1000)
HUGE = 10**12


# Each but the last would be 4 TB or more.
@pytest.mark.parametrize("create", [
    lambda: torch.zeros(HUGE),
    lambda: torch.arange(float(HUGE)),
    lambda: torch.linspace(0, 1, HUGE),
    lambda: torch.eye(10**6),
    lambda: torch.full((10**6, 10**6), 1.0),
    lambda: ROW.repeat(10**9),
    lambda: ROW.new_zeros(HUGE),
    lambda: ROW.expand(10**9, 1000).sum(),
    lambda: ROW[:, None, None, None] * ROW[:, None, None] * ROW[:, None] * ROW,
    lambda: nn.functional.pad(torch.ones(1, 1), (10**6, 0, 10**6, 0)),
    lambda: nn.functional.interpolate(torch.ones(1, 1, 2, 2), scale_factor=1e6),
    lambda: nn.functional.one_hot(torch.tensor([1]), HUGE),
    lambda: nn.Linear(10**6, 10**6),
    lambda: nn.BatchNorm2d(HUGE),
    lambda: [torch.ones(2**18) for _ in range(2**20)],
], ids=range(15))
def test_tensors_over_the_limit_are_not_allocated(create: Callable[[], object]) -> None:
    with pytest.raises(TensorLimitError, match="expected at most 100,000,000"):
        with TensorMemoryLimit(100_000_000):
            create()


def test_released_tensors_do_not_count_and_results_are_unchanged() -> None:
    with TensorMemoryLimit(9_000_000):
        sums = [torch.full((10**6,), float(value)).sum() for value in range(20)]
        output = nn.Linear(100, 100)(torch.ones(1, 100)).sum()
        output.backward()
    assert torch.stack(sums).tolist() == [value * 1e6 for value in range(20)]
    assert output.requires_grad


def test_number_of_operations_is_limited() -> None:
    with TensorMemoryLimit(1 << 30, 100):
        for _ in range(100):
            torch.ones(1)
    with pytest.raises(TensorLimitError, match="more than 100 operations on tensors"):
        with TensorMemoryLimit(1 << 30, 100):
            while True:
                torch.ones(1)


def test_meta_tensors_do_not_count() -> None:
    with TensorMemoryLimit(1000):
        assert torch.empty(HUGE, device="meta").shape == (HUGE,)
        with torch.device("meta"):
            assert nn.Linear(10**6, 10**6).weight.is_meta
