"""A sampler that shows the rare classes as often as the frequent ones."""

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
    """Draw as many pictures an epoch as there are, with replacement, rare classes more often.

    Each draw is the picture i with a probability in proportion to 1 / count[label[i]] ** power,
    independent of the others. At power 1 each class that has pictures is drawn alike, at 0 each
    picture; 0.5 lies between. An epoch depends on the seed and its number alone, whatever the
    number of processes: they take turns at one stream of draws, which is as long as the data set,
    rounded up to a multiple of the processes.

    Args:
        dataset: a classification data set: with ``get_gt_labels()``, (N,) int64, or with
            ``get_data_info(index)["gt_label"]``. N is at least 1.
        power: how far the classes are balanced, at least 0.
        seed: where the draws begin; the processes must agree. None: a number is drawn and shared.

    Raises:
        ConfigError: ``power`` is no number, negative or not finite, or the data set says no label.
        DataError: the data set is empty.
    """

    def __init__(self, dataset: Any, power: float = 1.0, seed: int | None = None) -> None:
        if not isinstance(power, (int, float)) or not 0 <= power < math.inf:
            raise ConfigError("ClassBalancedSampler: power", got=repr(power),
                              expected="a number from 0, where nothing is balanced")
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.power = float(power)
        self.epoch = 0
        labels = _get_labels(dataset)
        if not len(labels):
            raise DataError("ClassBalancedSampler: the data set has no picture to draw")
        self._cumulative_weights = np.cumsum(_sample_weights(labels, self.power))
        self.num_samples: int = math.ceil(len(labels) / self.world_size)
        self.total_size = self.num_samples * self.world_size

    def __iter__(self) -> Iterator[int]:
        """The indices that this process draws in this epoch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        points = rng.random(self.total_size) * self._cumulative_weights[-1]
        # 'right', so that a place on an edge belongs to the picture that begins there.
        indices = np.searchsorted(self._cumulative_weights, points, side="right")
        # The product above may round up to the last edge itself.
        return iter(
            indices.clip(max=len(self._cumulative_weights) -
                         1)[self.rank::self.world_size].tolist())

    def __len__(self) -> int:
        """Draws of this process in an epoch."""
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass draws."""
        self.epoch = epoch


def _sample_weights(labels: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """(N,) float64 in 0..1, the weight of each picture."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    # Against the rarest class, so that no power makes all of them vanish.
    weights: NDArray[np.float64] = (counts.min() / counts.astype(np.float64)) ** power
    return weights[inverse.reshape(-1)]


def _get_labels(dataset: Any) -> NDArray[np.int64]:
    """(N,) int64, the label of each picture."""
    if hasattr(dataset, "get_gt_labels"):
        return np.asarray(dataset.get_gt_labels(), dtype=np.int64).reshape(-1)
    labels = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index) if hasattr(dataset, "get_data_info") else {}
        if info.get("gt_label") is None:
            raise ConfigError(
                f"ClassBalancedSampler: {type(dataset).__name__} does not say the class of its "
                "pictures", hint="use it with a ClsDataset; a detection set has many classes a "
                "picture, for which ClassBalancedDataset is made")
        labels.append(int(info["gt_label"]))
    return np.asarray(labels, dtype=np.int64)
