"""A config's schedule over another number of epochs: hand-worked cases and the real configs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config, ConfigDict

from detkit.config.load_config import load_config
from detkit.config.schedule.fit_epochs import check_epochs, fit_epochs
from detkit.config.schedule.fit_param_schedulers import warmup_ends
from detkit.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def config(**changes: Any) -> Config:
    cfg = load_config(CONFIGS / "cascade_efficientnet_lite0.py")  # 18 epochs, 6 validations
    cfg.merge_from_dict(changes)
    return cfg


def test_schedule_is_spread_over_the_epochs() -> None:
    cfg = config()
    report = fit_epochs(cfg, 36, 50)
    warmup, cosine = cfg.param_scheduler
    # 100 of 900 steps warm up; of 1800 in proportion 200, above a tenth of them.
    assert (warmup.begin, warmup.end, warmup.by_epoch) == (0, 180, False)
    assert report.warmup_steps == 180
    assert (cosine.begin, cosine.end, cosine.T_max, cosine.by_epoch) == (0, 1800, 1800, False)
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (36, 6)
    assert cfg.train_cfg.type == "EpochBasedTrainLoop"
    # The average over 50 of 900 steps becomes one over 100.
    assert cfg.custom_hooks[0].momentum == pytest.approx(0.01)


def test_a_small_dataset_leaves_its_warm_up() -> None:
    # 12 images, 3 steps an epoch: the 100 steps of warm-up are longer than the run of 18 epochs.
    cfg = config()
    fit_epochs(cfg, 18, 3)
    warmup, cosine = cfg.param_scheduler
    assert (warmup.end, cosine.end, cosine.T_max) == (5, 54, 54)


@pytest.mark.parametrize(("epochs", "interval"), [(1, 1), (5, 1), (6, 1), (13, 2), (100, 16)])
def test_there_are_as_many_validations(epochs: int, interval: int) -> None:
    cfg = config()
    fit_epochs(cfg, epochs, 50)
    assert cfg.train_cfg.val_interval == interval


def test_milestones_and_switches_keep_their_fraction() -> None:
    cfg = Config(dict(
        train_cfg=dict(max_epochs=12, val_interval=1, val_begin=6),
        param_scheduler=[dict(type="MultiStepLR", begin=0, end=12, milestones=[8, 11])],
        custom_hooks=[dict(type="PipelineSwitchHook", switch_epoch=9, switch_pipeline=[])]))
    fit_epochs(cfg, 24, 10)
    assert cfg.param_scheduler[0].milestones == [160, 220]
    assert cfg.custom_hooks[0].switch_epoch == 18 and cfg.train_cfg.val_begin == 12


@pytest.mark.parametrize(
    ("train_cfg", "options", "message"),
    [
        (dict(max_iters=100), {}, "no max_epochs"),
        (None, {}, "no max_epochs"),
        (dict(type="detkit.PlannedTrainLoop", num_steps=9), {}, "--minutes"),
        (dict(max_epochs=3), {"train_cfg.max_epochs": 2}, "one of them"),
    ],
)
def test_another_length_is_an_error(
    train_cfg: dict[str, Any] | None, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_epochs(ConfigDict(train_cfg=train_cfg), options)


def test_a_schedule_that_follows_a_score_is_an_error() -> None:
    cfg = config(param_scheduler=[dict(type="ReduceOnPlateauLR", monitor="loss")])
    with pytest.raises(ConfigError, match="ReduceOnPlateauLR follows a validation score"):
        fit_epochs(cfg, 3, 10)


def test_warm_ups_end_where_the_config_says_also_after_the_run() -> None:
    assert warmup_ends(config().param_scheduler, 6, 3) == [100]
    assert warmup_ends(None, 6, 3) == []
