"""A sampler that draws rare classes as often as frequent ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from numpy.typing import NDArray
from torch.utils.data import Sampler

from detkit.errors import ConfigError, DataError
from detkit.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class ClassBalancedSampler(Sampler[int]):
    """Draw samples with replacement, rare classes more often; as many an epoch as the data has.

    Each draw is image i with a probability proportional to 1 / count[label[i]] ** power,
    independent of the others. With power 1 all classes are equally likely, with 0 all images. An
    epoch depends on the seed and the epoch number alone, not on the number of processes: they
    share one sequence of draws, whose length is that of the data set, rounded up to a multiple of
    the number of processes.

    Args:
        dataset: a classification data set: with ``get_gt_labels()``, (N,) int64, or with
            ``get_data_info(index)["gt_label"]``. N is at least 1.
        power: the strength of the balancing, at least 0.
        seed: of the random numbers, the same in all processes. None: drawn and shared.

    Raises:
        ConfigError: ``power`` is not a number, negative or not finite, or the data set has no
            labels.
        DataError: the data set is empty.
    """

    def __init__(self, dataset: Any, power: float = 1.0, seed: int | None = None) -> None:
        if not isinstance(power, (int, float)) or not 0 <= power < math.inf:
            raise ConfigError("ClassBalancedSampler: power", got=repr(power),
                              expected="a number of at least 0 (0: no balancing)")
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.power = float(power)
        self.epoch = 0
        labels = _get_labels(dataset)
        if not len(labels):
            raise DataError("ClassBalancedSampler: the data set has no images")
        self._cumulative_weights = np.cumsum(_sample_weights(labels, self.power))
        self.num_samples: int = math.ceil(len(labels) / self.world_size)
        self.total_size = self.num_samples * self.world_size

    def __iter__(self) -> Iterator[int]:
        """The indices that this process draws in this epoch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        points = rng.random(self.total_size) * self._cumulative_weights[-1]
        # 'right', so that a point on a boundary belongs to the image that begins there.
        indices = np.searchsorted(self._cumulative_weights, points, side="right")
        # The product above may round up to the last boundary.
        indices = indices.clip(max=len(self._cumulative_weights) - 1)
        return iter(indices[self.rank::self.world_size].tolist())

    def __len__(self) -> int:
        """The number of draws of this process in an epoch."""
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch number of the next iteration."""
        self.epoch = epoch


def _sample_weights(labels: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """(N,) float64 in 0..1, the weight of each image."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    # Relative to the rarest class, so that no power underflows all of them.
    weights: NDArray[np.float64] = (counts.min() / counts.astype(np.float64)) ** power
    return weights[inverse.reshape(-1)]


def _get_labels(dataset: Any) -> NDArray[np.int64]:
    """(N,) int64, the label of each image."""
    if hasattr(dataset, "get_gt_labels"):
        return np.asarray(dataset.get_gt_labels(), dtype=np.int64).reshape(-1)
    labels = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index) if hasattr(dataset, "get_data_info") else {}
        if info.get("gt_label") is None:
            raise ConfigError(
                f"ClassBalancedSampler: {type(dataset).__name__} has no gt_label for its images",
                hint="use it with a ClsDataset; for a detection data set, with several classes an "
                "image, use ClassBalancedDataset")
        labels.append(int(info["gt_label"]))
    return np.asarray(labels, dtype=np.int64)
