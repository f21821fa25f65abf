"""Which setting is chosen for frames a second, on chains whose speed follows from a sum."""

import pytest

from detkit.video.fps_tuning import Measured, Setting, choose, settings_for


def chain(detect, rest, cores=2):
    """A trial of a chain whose model takes ``detect`` ms at cost 1, the rest ``rest`` ms."""
    tried = []

    def trial(setting):
        tried.append(setting)
        taken = detect * setting.cost
        return Measured(cores * 1000 / (taken + rest), taken, rest)

    return trial, tried


def test_settings_go_from_the_checkpoints_own_to_the_quickest():
    settings = settings_for(320, 32, 200)
    assert [(one.size, one.proposals) for one in settings] == [
        (320, 200), (320, 100), (256, 100), (192, 100), (160, 100), (128, 50)]
    assert settings[0].cost == 1.0
    assert [one.cost for one in settings] == sorted((one.cost for one in settings), reverse=True)


def test_a_single_stage_detector_has_no_proposals_to_save():
    settings = settings_for(640, 32, None)
    assert {one.proposals for one in settings} == {None}
    assert [one.size for one in settings] == [640, 512, 416, 320, 256]
    # (512 / 640) ** 2
    assert settings[1].cost == pytest.approx(0.64)


def test_sizes_are_multiples_of_the_divisor_and_never_below_it():
    assert all(one.size % 128 == 0 and one.size >= 128 for one in settings_for(256, 128, 10))


def test_what_is_quick_enough_stays_as_it_is():
    trial, tried = chain(detect=20, rest=10)
    choice = choose(settings_for(320, 32, 200), 30, trial)
    assert choice.met and choice.setting.size == 320 and choice.setting.proposals == 200
    assert len(tried) == 1


def test_the_first_that_reaches_the_target_with_its_margin_is_taken():
    # 2 cores, 30 fps and a fifth more: 55.6 ms a frame, so 40.6 for the model of 52 at cost 1.
    trial, _ = chain(detect=52, rest=15)
    choice = choose(settings_for(320, 32, 200), 30, trial)
    assert choice.met
    assert (choice.setting.size, choice.setting.proposals) == (320, 100)  # 0.75 * 52 = 39


def test_what_cannot_make_it_is_not_tried():
    trial, tried = chain(detect=200, rest=10)
    choice = choose(settings_for(320, 32, 200), 30, trial)
    assert choice.setting == tried[-1]
    assert [one.size for one in tried] == [320, 128]


def test_without_any_quick_enough_the_quickest_is_taken_and_said_to_be_too_slow():
    trial, _ = chain(detect=400, rest=100)
    choice = choose(settings_for(320, 32, 200), 30, trial)
    assert not choice.met
    assert choice.setting.size == 128


def test_no_settings_are_refused():
    with pytest.raises(ValueError, match="settings: got none"):
        choose([], 30, lambda setting: Measured(1, 1, 1))


def test_a_setting_on_the_edge_is_taken_when_nothing_has_the_margin():
    only = [Setting(320, None, 1, 1.0)]
    assert choose(only, 30, lambda setting: Measured(31, 20, 10)).met
