"""A config's schedule in another number of steps: hand-worked cases and the real configs."""

import math
from pathlib import Path

import pytest
from mmengine.config import Config, ConfigDict

from detkit.config.load_config import load_config
from detkit.config.schedule.fit_param_schedulers import fit_param_schedulers, make_step_map
from detkit.config.schedule.fit_schedule import (
    RunLength,
    count_steps,
    count_validations,
    fit_schedule,
    is_planned,
)
from detkit.config.validate.config_check import check_config
from detkit.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def fitted(schedulers, old_steps, new_steps, epoch_length):
    """The param_schedulers in a run of another length."""
    step_map = make_step_map(schedulers, old_steps, new_steps, epoch_length)
    return fit_param_schedulers(schedulers, step_map, epoch_length)


def test_no_schedulers_stay_none():
    assert fitted(None, 100, 50, 10) is None
    assert fitted([], 100, 50, 10) == []


def test_milestones_by_epoch_keep_their_proportion():
    # "1x": 12 epochs of 100 steps, lower at 8 and 11; in 600 steps at 8/12 and 11/12 of them.
    schedule = [dict(type="MultiStepLR", begin=0, end=12, milestones=[8, 11], gamma=0.1)]
    assert fitted(schedule, 1200, 600, 100) == [
        dict(type="MultiStepLR", begin=0, end=600, milestones=[400, 550], gamma=0.1,
             by_epoch=False)]


def test_cosine_after_a_warm_up_begins_where_it_ends():
    # 20 of 300 epochs warm up; of 600 steps in proportion 40, which is between 5 % and 10 %.
    schedule = [
        dict(type="LinearLR", start_factor=0.001, begin=0, end=20, convert_to_iter_based=True),
        dict(type="CosineAnnealingLR", begin=20, end=300, T_max=280, eta_min_ratio=0.01,
             convert_to_iter_based=True)]
    warmup, cosine = fitted(schedule, 3000, 600, 10)
    assert (warmup.begin, warmup.end, warmup.by_epoch) == (0, 40, False)
    assert (cosine.begin, cosine.end, cosine.T_max, cosine.by_epoch) == (40, 600, 560, False)
    assert "convert_to_iter_based" not in warmup and "convert_to_iter_based" not in cosine


@pytest.mark.parametrize(
    ("old_warmup", "old_steps", "new_steps", "new_warmup"),
    [
        (100, 2000, 1000, 50),  # 5 % of the run, as in the config
        (1000, 100_000, 2000, 100),  # 1 % of 2,000 steps would be 20; so at least 5 %
        (10, 100_000, 2000, 10),  # but no more than in the config
        (500, 1000, 200, 20),  # half of the run is a schedule for more data: at most 10 %
        (1000, 624, 300, 30),  # longer than the config's run itself
    ],
)
def test_warm_up_by_iteration(old_warmup, old_steps, new_steps, new_warmup):
    schedule = [dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=old_warmup),
                dict(type="CosineAnnealingLR", by_epoch=False, begin=0, end=old_steps,
                     T_max=old_steps)]
    warmup, cosine = fitted(schedule, old_steps, new_steps, 10)
    assert warmup.end == new_warmup
    assert (cosine.begin, cosine.end, cosine.T_max) == (0, new_steps, new_steps)


def test_a_linear_decay_over_the_whole_run_is_no_warm_up():
    schedule = [dict(type="LinearLR", start_factor=1.0, end_factor=0.01, begin=0, end=30)]
    assert fitted(schedule, 300, 60, 10)[0]["end"] == 60


def test_other_schedulers_and_lists_by_optimizer():
    schedule = dict(
        backbone=[dict(type="StepLR", step_size=3, gamma=0.5)],
        head=[dict(type="ExponentialLR", gamma=0.9), dict(type="PolyLR", power=0.9, end=9),
              dict(type="CosineRestartLR", periods=[3, 6], by_epoch=True),
              dict(type="OneCycleLR", eta_max=0.1, total_steps=90, by_epoch=False)])
    step, (exponential, poly, restart, one_cycle) = (
        fitted(schedule, 90, 45, 10)["backbone"][0], fitted(schedule, 90, 45, 10)["head"])
    assert step.step_size == 15  # 3 epochs of 10 steps in half the time
    # 0.9 a epoch is 0.9 for each 5 steps.
    assert math.isclose(exponential.gamma**5, 0.9)
    assert poly.end == 45 and restart.periods == [15, 30] and one_cycle.total_steps == 45


def test_a_scheduler_that_follows_the_score_is_an_error():
    with pytest.raises(ConfigError, match="ReduceOnPlateauLR"):
        fitted([dict(type="ReduceOnPlateauLR", monitor="loss")], 100, 50, 10)


def hooks_after(hooks, old_epochs, num_steps, epoch_length=10):
    cfg = Config(dict(train_cfg=dict(max_epochs=old_epochs), custom_hooks=hooks))
    report = fit_schedule(cfg, RunLength(num_steps, epoch_length, 1, 5))
    return cfg.custom_hooks, report


def test_weights_are_averaged_over_the_same_fraction_of_the_run():
    # 1 / 0.02 = 50 of 500 steps; a tenth of 200 steps is 20 = 1 / 0.05.
    (hook,), report = hooks_after([dict(type="EMAHook", momentum=0.02)], 50, 200)
    assert math.isclose(hook.momentum, 0.05) and report.ema_steps == 20


def test_average_longer_than_the_run_is_cut_to_a_quarter():
    # 5,000 of 3,900 steps, as EfficientDet on 200 images; of 100 steps it averages 25.
    (hook,), report = hooks_after([dict(type="EMAHook", momentum=0.0002)], 390, 100)
    assert math.isclose(hook.momentum, 0.04) and report.ema_steps == 25


def test_growing_average_and_its_begin_are_scaled():
    hooks = [dict(type="EMAHook", ema_type="ExpMomentumEMA", momentum=0.01, gamma=200,
                  begin_epoch=10)]
    (hook,), _ = hooks_after(hooks, 100, 500)  # of 1,000 steps half
    assert (hook.gamma, hook.begin_iter, "begin_epoch" in hook) == (100, 50, False)
    assert math.isclose(hook.momentum, 0.02)


@pytest.mark.parametrize(
    ("num_steps", "switch_epoch", "num_last_epochs", "notes"),
    [
        (3000, 270, 30, 0),  # 300 epochs, as in the config
        (100, 9, 1, 0),  # 10 epochs, the last of them clean
        (25, 2, 1, 0),  # 2.5 epochs: 90 % of them rounds to 2
        (15, 1, 1, 0),  # 1.5 epochs: the switch must be before the last epoch
        (5, 0, 1, 2),  # less than an epoch: clean from the first step on
    ],
)
def test_switches_of_the_pipeline_keep_their_fraction(
    num_steps, switch_epoch, num_last_epochs, notes
):
    hooks = [dict(type="PipelineSwitchHook", switch_epoch=270, switch_pipeline=[]),
             dict(type="mmdet.YOLOXModeSwitchHook", num_last_epochs=30)]
    (switch, yolox), report = hooks_after(hooks, 300, num_steps)
    assert switch.switch_epoch == switch_epoch
    assert yolox.num_last_epochs == num_last_epochs
    assert len(report.notes) == notes


def test_loop_hooks_and_log_of_the_new_run():
    cfg = Config(dict(
        train_cfg=dict(type="EpochBasedTrainLoop", max_epochs=12, val_interval=3),
        default_hooks=dict(logger=dict(type="LoggerHook", interval=50),
                           checkpoint=dict(type="CheckpointHook", interval=1, save_best="x"))))
    fit_schedule(cfg, RunLength(200, 30, 4, 20))
    assert is_planned(cfg) and cfg.train_cfg == dict(
        type="detkit.PlannedTrainLoop", epoch_length=30, num_validations=4,
        num_steps=200, timeline=[[0, 200]])
    assert cfg.default_hooks.checkpoint == dict(type="CheckpointHook", interval=20,
                                                by_epoch=False, save_best="x")
    assert cfg.default_hooks.logger.interval == 10
    assert cfg.log_processor.by_epoch is False
    assert count_steps(cfg, 30) == 200 and count_validations(cfg) == 0


@pytest.mark.parametrize(
    ("train_cfg", "steps", "validations"),
    [
        (dict(max_epochs=12, val_interval=5), 120, 3),
        (dict(max_epochs=4), 40, 4),
        (dict(type="IterBasedTrainLoop", max_iters=90, val_interval=45), 90, 2),
    ],
)
def test_steps_and_validations_of_a_config(train_cfg, steps, validations):
    cfg = ConfigDict(train_cfg=train_cfg, val_dataloader=dict(), val_cfg=dict())
    assert count_steps(cfg, 10) == steps
    assert count_validations(cfg) == validations


def test_a_loop_without_a_length_is_an_error():
    with pytest.raises(ConfigError, match="no length"):
        count_steps(ConfigDict(train_cfg=dict(type="Other")), 10)


@pytest.mark.parametrize(
    "name", ["cascade_efficientnet_nano.py", "cascade_swin.py", "efficientdet_d0.py",
             "classify_swin_nano.py", "classify_convnextv2.py", "detr_swin.py", "quickstart.py"])
def test_fitted_configs_are_valid_and_end_with_the_run(name):
    cfg = load_config(CONFIGS / name)
    fit_schedule(cfg, RunLength(300, 50, 3, 30))
    check_config(cfg)
    assert max(item.end for item in cfg.param_scheduler) == 300
    assert all(item.by_epoch is False and item.end > item.begin for item in cfg.param_scheduler)
    for hook in cfg.get("custom_hooks") or []:
        if hook.type == "EMAHook":
            assert 1 / 75 - 1e-9 <= hook.momentum <= 0.5
