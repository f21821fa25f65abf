"""Random numbers that depend only on (seed, rank, iteration) or (seed, epoch, sample position).

A checkpoint does not contain the states of random generators. Instead each training iteration and
each loaded sample is seeded anew, so that a resumed run, and one with another number of workers or
processes, gets the same random numbers.

Legend: ``position``: index of a sample in the order of the sampler, over all processes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

_ITERATION, _SAMPLE = 0, 1


def _derive_seed(*numbers: int) -> int:
    """A 64-bit seed from non-negative ``numbers``; different tuples give independent seeds."""
    low, high = np.random.SeedSequence(list(numbers)).generate_state(2, np.uint32)
    return int(high) << 32 | int(low)


def _seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.manual_seed(seed)


def seed_iteration(seed: int, rank: int, iteration: int) -> None:
    """Seed python, numpy and torch for one training iteration of one process."""
    _seed_all(_derive_seed(_ITERATION, seed, rank, iteration))


@contextmanager
def _seeded_rng(seed: int) -> Iterator[None]:
    """Seed all random generators for the body, and restore their states after it."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class SeededIndex(int):
    """An index into the dataset with the seed of the augmentation of that sample."""

    seed: int

    def __new__(cls, index: int, seed: int) -> SeededIndex:
        seeded_index = super().__new__(cls, index)
        seeded_index.seed = seed
        return seeded_index

    def __reduce__(self) -> tuple[Any, ...]:
        return SeededIndex, (int(self), self.seed)


class SeededDataset(Dataset[Any]):
    """Wraps a dataset; the sample of a `SeededIndex` depends on the index and its seed only."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if not isinstance(index, SeededIndex):
            return self.dataset[index]
        with _seeded_rng(index.seed):
            return self.dataset[int(index)]


class SeededSampler(Sampler[int]):
    """Wraps a sampler; each index becomes a `SeededIndex` of seed, epoch and position."""

    def __init__(self, sampler: Any, seed: int, rank: int, world_size: int) -> None:
        self.sampler = sampler
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._epoch = 0
        self._start = 0

    def __getattr__(self, name: str) -> Any:
        if name == "sampler":
            raise AttributeError(name)
        inner = getattr(self.sampler, name)
        return partial(self._skip, inner) if name == "skip" else inner

    def _skip(self, skip_inner: Any, count: int) -> None:
        skip_inner(count)
        self._start = count

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[int]:
        for local_index, index in enumerate(self.sampler, self._start):
            position = local_index * self._world_size + self._rank
            yield SeededIndex(index, _derive_seed(_SAMPLE, self._seed, self._epoch, position))


class SkippingBatchSampler(Sampler[list[int]]):
    """Wraps a batch sampler; the next pass skips the first ``skip_next`` batches unloaded."""

    def __init__(self, batch_sampler: Any) -> None:
        self.batch_sampler = batch_sampler
        self.skip_next = 0

    def __getattr__(self, name: str) -> Any:
        if name == "batch_sampler":
            raise AttributeError(name)
        return getattr(self.batch_sampler, name)

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[list[int]]:
        skip, self.skip_next = self.skip_next, 0
        for batch_index, batch in enumerate(self.batch_sampler):
            if batch_index >= skip:
                yield batch


def seeded_dataloader(loader: Any, seed: int, rank: int, world_size: int) -> Any:
    """Wrap a dataloader so that it can be repeated exactly from any batch on.

    A dataloader whose batch sampler has no ``sampler`` is returned unchanged.
    """
    batch_sampler = loader.batch_sampler
    if batch_sampler is None or not hasattr(batch_sampler, "sampler"):
        return loader
    batch_sampler.sampler = SeededSampler(batch_sampler.sampler, seed, rank, world_size)
    options: dict[str, Any] = {}
    if loader.num_workers > 0:
        options = {
            "prefetch_factor": loader.prefetch_factor,
            "persistent_workers": loader.persistent_workers,
            "multiprocessing_context": loader.multiprocessing_context,
        }
    return DataLoader(
        SeededDataset(loader.dataset),
        batch_sampler=SkippingBatchSampler(batch_sampler),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        **options,
    )
