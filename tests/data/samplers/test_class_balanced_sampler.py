"""The class balanced sampler: class shares, epochs and processes."""

import math

import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from torch.utils.data import DataLoader

from detkit.data.samplers import class_balanced_sampler
from detkit.data.samplers.class_balanced_sampler import ClassBalancedSampler
from detkit.engine.reproducibility import SeededSampler, seeded_dataloader
from detkit.errors import ConfigError, DataError
from detkit.registry import DATA_SAMPLERS


class LabeledDataset:
    """A data set with labels only."""

    def __init__(self, labels):
        self._labels = np.asarray(labels, np.int64)

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, index):
        return int(index)

    def get_gt_labels(self):
        return self._labels


# 900 of class 0, 90 of class 1, 10 of class 3; class 2 has none.
SKEWED = LabeledDataset([0] * 900 + [1] * 90 + [3] * 10)


@pytest.mark.parametrize(
    ("power", "shares"),
    [
        # All images equally likely.
        (0, {0: 0.9, 1: 0.09, 3: 0.01}),
        # Class weights 900 / sqrt(900) = 30, 90 / sqrt(90) = 9.4868, 10 / sqrt(10) = 3.1623.
        (0.5, {0: 30 / 42.6491, 1: 9.4868 / 42.6491, 3: 3.1623 / 42.6491}),
        # All classes equally likely.
        (1, {0: 1 / 3, 1: 1 / 3, 3: 1 / 3}),
        # 1/900, 1/90, 1/10 in proportion: 1, 10, 90 of 101.
        (2, {0: 1 / 101, 1: 10 / 101, 3: 90 / 101}),
    ],
)
def test_classes_are_drawn_in_the_stated_shares(power, shares):
    sampler = ClassBalancedSampler(SKEWED, power=power, seed=1)
    drawn = []
    for epoch in range(20):
        sampler.set_epoch(epoch)
        drawn += sampler
    assert len(drawn) == 20 * 1000
    labels = SKEWED.get_gt_labels()[drawn]
    for label, share in shares.items():
        # Four standard deviations of the binomial share.
        assert abs((labels == label).mean() - share) < 4 * math.sqrt(share * (1 - share) / 20000)
    if power == 1:
        # Within a class each image alike: about 667 of each of the ten, +- 4 * sqrt(667).
        rare_counts = np.bincount(drawn, minlength=1000)[-10:]
        assert abs(rare_counts - 20000 / 30).max() < 4 * math.sqrt(20000 / 30)


def test_order_depends_only_on_seed_and_epoch():
    def draw_epoch(seed, epoch):
        sampler = ClassBalancedSampler(SKEWED, seed=seed)
        list(sampler)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draw_epoch(3, 5) == draw_epoch(3, 5)
    assert draw_epoch(3, 5) != draw_epoch(3, 6)
    assert draw_epoch(3, 5) != draw_epoch(4, 5)


@pytest.mark.parametrize("count", [7, 8])
def test_ranks_interleave_one_sequence(monkeypatch, count):
    data = LabeledDataset([0] * (count - 2) + [1] * 2)

    def draw_rank(rank, world_size):
        monkeypatch.setattr(class_balanced_sampler, "get_dist_info", lambda: (rank, world_size))
        sampler = ClassBalancedSampler(data, seed=2)
        assert len(sampler) == len(list(sampler)) == math.ceil(count / world_size)
        return list(sampler)

    # numpy's stream is the same however long it is read: one process that draws eight.
    first, second = draw_rank(0, 2), draw_rank(1, 2)
    interleaved = [index for pair in zip(first, second) for index in pair]
    assert interleaved[:count] == draw_rank(0, 1)


def test_seeded_sampler_gives_each_draw_its_own_seed():
    sampler = ClassBalancedSampler(SKEWED, seed=2)
    seeded = SeededSampler(ClassBalancedSampler(SKEWED, seed=2), seed=9, rank=0, world_size=1)
    seeded.set_epoch(4)
    sampler.set_epoch(4)
    drawn = list(seeded)
    assert drawn == list(sampler) and len(seeded) == 1000 and seeded.power == 1
    # The same image drawn twice is augmented from other numbers.
    assert len({draw.seed for draw in drawn}) == 1000


def test_dataloader_resumes_mid_epoch():
    def loader():
        sampler = ClassBalancedSampler(SKEWED, seed=2)
        return seeded_dataloader(DataLoader(SKEWED, batch_size=64, sampler=sampler), 0, 0, 1)

    batches = [batch.tolist() for batch in loader()]
    resumed = loader()
    resumed.batch_sampler.skip_next = 10
    assert [batch.tolist() for batch in resumed] == batches[10:]


def test_labels_fall_back_to_gt_label_of_data_info():
    data = BaseDataset(serialize_data=True, lazy_init=True)
    data.load_data_list = lambda: [{"gt_label": 0}, {"gt_label": 0}, {"gt_label": 1}]
    data.full_init()
    sampler = DATA_SAMPLERS.build({"type": "ClassBalancedSampler", "power": 1},
                                  default_args={"dataset": data, "seed": 0})
    drawn = []
    for epoch in range(300):
        sampler.set_epoch(epoch)
        drawn += sampler
    # Half of 900 draws are the one image of class 1, +- 4 * sqrt(900 / 4).
    assert abs(drawn.count(2) - 450) < 60


def test_detection_dataset_raises_config_error():
    class Boxes(list):
        pass

    with pytest.raises(ConfigError, match="Boxes has no gt_label for its images"):
        ClassBalancedSampler(Boxes([1, 2]))


def test_empty_dataset_raises_data_error():
    with pytest.raises(DataError, match="the data set has no images"):
        ClassBalancedSampler(LabeledDataset([]), seed=0)


@pytest.mark.parametrize("power", [-1, float("nan"), float("inf"), "half"])
def test_invalid_power_raises_config_error(power):
    with pytest.raises(ConfigError, match="ClassBalancedSampler: power"):
        ClassBalancedSampler(SKEWED, power=power, seed=0)
