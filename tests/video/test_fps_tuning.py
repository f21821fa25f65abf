"""The config chosen for a target frame rate, for simulated pipelines."""

import pytest

from detkit.video.fps_tuning import TrialConfig, TrialResult, select_config, trial_configs


def pipeline(model_ms, other_ms, cores=2):
    """Simulates a pipeline: ``model_ms`` of the model at cost 1, ``other_ms`` for the rest."""
    configs_tried = []

    def trial(config):
        configs_tried.append(config)
        model_time = model_ms * config.cost
        return TrialResult(cores * 1000 / (model_time + other_ms), model_time, other_ms)

    return trial, configs_tried


def test_configs_go_from_checkpoint_settings_to_fastest():
    configs = trial_configs(320, 32, 200)
    assert [(config.size, config.proposals) for config in configs] == [
        (320, 200), (320, 100), (256, 100), (192, 100), (160, 100), (128, 50)]
    assert configs[0].cost == 1.0
    assert [config.cost for config in configs] == sorted(
        (config.cost for config in configs), reverse=True
    )


def test_single_stage_detector_has_no_proposals():
    configs = trial_configs(640, 32, None)
    assert {config.proposals for config in configs} == {None}
    assert [config.size for config in configs] == [640, 512, 416, 320, 256]
    # (512 / 640) ** 2
    assert configs[1].cost == pytest.approx(0.64)


def test_sizes_are_multiples_of_divisor():
    assert all(config.size % 128 == 0 and config.size >= 128
               for config in trial_configs(256, 128, 10))


def test_first_config_is_kept_when_fast_enough():
    trial, configs_tried = pipeline(model_ms=20, other_ms=10)
    choice = select_config(trial_configs(320, 32, 200), 30, trial)
    assert choice.target_met and choice.config.size == 320 and choice.config.proposals == 200
    assert len(configs_tried) == 1


def test_first_config_reaching_target_with_margin_is_taken():
    # 2 cores, 30 fps + 20 %: 55.6 ms per frame, so 40.6 for the model, which takes 52 at cost 1.
    trial, _ = pipeline(model_ms=52, other_ms=15)
    choice = select_config(trial_configs(320, 32, 200), 30, trial)
    assert choice.target_met
    assert (choice.config.size, choice.config.proposals) == (320, 100)  # 0.75 * 52 = 39


def test_configs_predicted_too_slow_are_skipped():
    trial, configs_tried = pipeline(model_ms=200, other_ms=10)
    choice = select_config(trial_configs(320, 32, 200), 30, trial)
    assert choice.config == configs_tried[-1]
    assert [config.size for config in configs_tried] == [320, 128]


def test_fastest_config_is_taken_when_none_reaches_target():
    trial, _ = pipeline(model_ms=400, other_ms=100)
    choice = select_config(trial_configs(320, 32, 200), 30, trial)
    assert not choice.target_met
    assert choice.config.size == 128


def test_no_configs_are_rejected():
    with pytest.raises(ValueError, match="configs: got none"):
        select_config([], 30, lambda config: TrialResult(1, 1, 1))


def test_config_at_target_is_taken_when_none_has_margin():
    only = [TrialConfig(320, None, 1, 1.0)]
    assert select_config(only, 30, lambda config: TrialResult(31, 20, 10)).target_met
