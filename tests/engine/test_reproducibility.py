"""Random numbers depend on seed, epoch and position only."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmengine.dataset import DefaultSampler, pseudo_collate
from torch.utils.data import DataLoader

from detkit.engine.reproducibility import seed_iteration, seeded_dataloader


class Noise:
    """A dataset whose samples are random numbers of the three generators."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> tuple[int, float, float, float]:
        return int(index), random.random(), float(np.random.rand()), float(torch.rand(1))


def _loader(workers: int = 0, persistent: bool = False) -> Any:
    data: Any = Noise()
    plain = DataLoader(data, batch_size=2, sampler=DefaultSampler(data, seed=1),
                       num_workers=workers, persistent_workers=persistent,
                       collate_fn=pseudo_collate)
    return seeded_dataloader(plain, seed=5, rank=0, world_size=1)


def _epoch(loader: Any, epoch: int) -> list[Any]:
    loader.batch_sampler.sampler.set_epoch(epoch)
    return [[tuple(sample) for sample in batch] for batch in loader]


def test_samples_do_not_depend_on_the_number_of_workers() -> None:
    plain, workers = _loader(), _loader(workers=2, persistent=True)
    expected = [_epoch(plain, epoch) for epoch in (0, 1)]
    assert expected[0] != expected[1]
    assert [_epoch(workers, epoch) for epoch in (0, 1)] == expected
    random.seed(9)
    torch.manual_seed(9)
    assert _epoch(_loader(), 1) == expected[1]


def test_batches_after_skipped_ones_are_unchanged() -> None:
    expected_batches = _epoch(_loader(), 1)
    for workers in (0, 2):
        loader = _loader(workers)
        loader.batch_sampler.skip_next = 2
        assert _epoch(loader, 1) == expected_batches[2:]
        assert _epoch(loader, 1) == expected_batches


def test_loading_preserves_the_rng_state_of_the_process() -> None:
    seed_iteration(3, 0, 7)
    expected = random.random(), np.random.rand(), torch.rand(2).tolist()
    seed_iteration(3, 0, 7)
    _epoch(_loader(), 0)
    # A dataloader without workers draws one number itself, for an unused base seed.
    numbers = random.random(), np.random.rand()
    assert numbers == expected[:2]


def test_ranks_and_iterations_have_different_random_numbers() -> None:
    drawn = set()
    for rank, iteration in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        seed_iteration(3, rank, iteration)
        drawn.add((random.random(), float(np.random.rand()), float(torch.rand(1))))
    assert len(drawn) == 4
