"""MixUp and CutMix: soft targets match the mixture of images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from detkit.errors import ConfigError
from detkit.models.classifiers.random_batch_augment import RandomBatchAugment
from detkit.registry import MODELS

K = 5
MIXUP, CUTMIX = dict(type="MixUp", alpha=0.8), dict(type="CutMix", alpha=1.0)


def constant_images(batch: int) -> tuple[Tensor, Tensor]:
    """Images with all pixels equal to the class index."""
    labels = torch.arange(batch) % K
    return labels.float()[:, None, None, None].expand(batch, 3, 16, 12).clone(), labels


@pytest.mark.parametrize("augment", [MIXUP, CUTMIX], ids=["mixup", "cutmix"])
@pytest.mark.parametrize("batch", [2, 3, 8])
def test_soft_targets_match_image_mixture(augment: dict[str, Any], batch: int) -> None:
    torch.manual_seed(0)
    images, labels = constant_images(batch)
    before, changed = images.clone(), 0
    for _ in range(20):
        mixed, soft_targets = RandomBatchAugment([augment])(images, labels, K)
        assert mixed.shape == images.shape and soft_targets.shape == (batch, K)
        torch.testing.assert_close(soft_targets.sum(1), torch.ones(batch))
        # An image of 0.3 ones and 0.7 fours has the mean 0.3 * 1 + 0.7 * 4.
        expected = soft_targets @ torch.arange(K).float()
        torch.testing.assert_close(mixed.mean((1, 2, 3)), expected, rtol=1e-4, atol=1e-4)
        changed += not torch.equal(mixed, images)
    assert torch.equal(images, before)
    assert changed >= 15


@pytest.mark.parametrize("augment", [MIXUP, CUTMIX], ids=["mixup", "cutmix"])
def test_single_image_batch_is_unchanged(augment: dict[str, Any]) -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 3, 8, 8)
    mixed, soft_targets = RandomBatchAugment(augment)(image, torch.tensor([2]), K)
    torch.testing.assert_close(mixed, image)
    torch.testing.assert_close(soft_targets, torch.eye(K)[[2]])


def test_empty_batch_is_unchanged() -> None:
    images, labels = constant_images(0)
    mixed, soft_targets = RandomBatchAugment([MIXUP, CUTMIX])(images, labels, K)
    assert mixed.shape == images.shape and soft_targets.shape == (0, K)


def count_augments(batch_augment: RandomBatchAugment, batches: int) -> dict[str, int]:
    """Count the drawn augments. MixUp of uniform images is uniform; CutMix is not."""
    images, labels = constant_images(4)
    counts = {"none": 0, "mixup": 0, "cutmix": 0}
    for _ in range(batches):
        mixed, targets = batch_augment(images, labels, K)
        if targets.ndim == 1:
            counts["none"] += 1
        else:
            uniform = torch.equal(mixed, mixed[:, :1, :1, :1].expand_as(mixed))
            counts["mixup" if uniform else "cutmix"] += 1
    return counts


def test_augment_frequencies_match_probs() -> None:
    torch.manual_seed(0)
    # 400 draws: the standard deviation of a count is at most 10. CutMix with an empty rectangle is
    # counted as MixUp: with alpha 1 it is below a pixel in 3 of 100.
    counts = count_augments(RandomBatchAugment([MIXUP, CUTMIX], [0.2, 0.5]), 400)
    assert counts["none"] == pytest.approx(120, abs=35)
    assert counts["mixup"] == pytest.approx(80, abs=35)
    assert counts["cutmix"] == pytest.approx(200, abs=35)


def test_without_probs_every_batch_is_augmented() -> None:
    torch.manual_seed(0)
    counts = count_augments(RandomBatchAugment([MIXUP, CUTMIX]), 400)
    assert counts["none"] == 0
    assert counts["mixup"] == pytest.approx(200, abs=40)
    assert count_augments(RandomBatchAugment([MIXUP]), 20)["mixup"] == 20


def test_batch_augment_is_reproducible_from_torch_seed() -> None:
    images, labels = constant_images(6)
    batch_augment = RandomBatchAugment([MIXUP, CUTMIX], [0.4, 0.4])
    torch.manual_seed(3)
    for _ in range(5):
        batch_augment(images, labels, K)
    state = torch.get_rng_state()
    first = [batch_augment(images, labels, K) for _ in range(8)]
    torch.set_rng_state(state)
    again = [batch_augment(images, labels, K) for _ in range(8)]
    for (mixed, targets), (mixed_again, targets_again) in zip(first, again):
        assert torch.equal(mixed, mixed_again) and torch.equal(targets, targets_again)


def test_augment_works_with_model_built_on_meta_device() -> None:
    with torch.device("meta"):
        batch_augment = RandomBatchAugment([MIXUP, CUTMIX])
    mixed, soft_targets = batch_augment(*constant_images(3), K)
    assert mixed.device.type == soft_targets.device.type == "cpu"


@pytest.mark.parametrize("nothing", [None, {}, dict(augments=None), dict(augments=[])], ids=str)
def test_train_cfg_without_augments_gives_none(nothing: dict[str, Any] | None) -> None:
    assert RandomBatchAugment.from_train_cfg(nothing) is None


@pytest.mark.parametrize(("train_cfg", "message"), [
    (dict(augmnets=[MIXUP]), "unknown key 'augmnets': expected some of augments"),
    (dict(augments=[MIXUP], probs=[0.5, 0.5]), "probs: got .*a list of 1 probabilities"),
    (dict(augments=[MIXUP, CUTMIX], probs=[0.7, 0.7]), "in sum at most 1"),
    (dict(augments=[MIXUP], probs=[-0.1]), "probs"),
    (dict(augments="MixUp"), "augments: got 'MixUp', expected a list such as"),
    (dict(augments=["MixUp"]), r"augments: got 'MixUp', expected a dict with a type, such as"),
    (dict(augments=[dict(alpha=1)]), r"augments: got {'alpha': 1}, expected a dict with a type"),
    (dict(probs=[1.0]), "probs without augments"),
    (dict(augments=[dict(type="MixUp", alpha=0)]), "MixUp: alpha: got 0"),
    (dict(augments=[dict(type="CutMix", alpha="1")]), "CutMix: alpha"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_invalid_train_cfg_is_rejected(train_cfg: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RandomBatchAugment.from_train_cfg(train_cfg)


def test_transforms_of_same_name_stay_registered() -> None:
    from detkit.data.transforms.mix_up import MixUp
    from detkit.registry import TRANSFORMS

    assert TRANSFORMS.get("MixUp") is MixUp is not MODELS.get("MixUp")
